//! Parts of a data set.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

/// What a part of a data set is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// For training.
    #[serde(rename = "train")]
    Train,
    /// For choosing, e.g. the best epoch.
    #[serde(rename = "val")]
    Validation,
    /// For measuring how good the chosen weights are.
    #[serde(rename = "test")]
    Test,
}

impl Part {
    /// The words that people use for it, in order of preference.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Train => &["train"],
            Self::Validation => &["validation", "val", "valid"],
            Self::Test => &["test"],
        }
    }

    /// The part with that name, in upper or lower case.
    pub(super) fn named(word: &str) -> Option<Self> {
        let is_of = |part: &Self| part.names().iter().any(|name| name.eq_ignore_ascii_case(word));
        [Self::Train, Self::Validation, Self::Test].into_iter().find(is_of)
    }
}

/// Its short name: `train`, `val` or `test`.
impl Display for Part {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Validation => "val",
            Self::Test => "test",
        })
    }
}
