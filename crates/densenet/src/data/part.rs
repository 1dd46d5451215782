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
