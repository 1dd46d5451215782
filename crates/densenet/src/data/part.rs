//! Parts of a data set.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

/// What a part of a data set is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// To train on.
    #[serde(rename = "train")]
    Train,
    /// To choose by, as the best epoch.
    #[serde(rename = "val")]
    Validation,
    /// To see how well what was chosen does.
    #[serde(rename = "test")]
    Test,
}

impl Part {
    /// The words that people have for it, in the order of preference.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Train => &["train"],
            Self::Validation => &["validation", "val", "valid"],
            Self::Test => &["test"],
        }
    }

    /// The part of that name, in capitals or not.
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
