//! How tables are read.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How a table of pictures is read, where its columns leave that open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TableOptions {
    /// The folder that the paths are relative to and must stay in; `None` for the table's own.
    pub images: Option<PathBuf>,
    /// The path column.
    pub path_column: Option<String>,
    /// The class column.
    pub label_column: Option<String>,
    /// The columns of 0 and 1, one per label.
    pub label_columns: Vec<String>,
    /// What -1 means in a column of 0 and 1.
    pub uncertain: Uncertain,
    /// What a blank means in a column of 0 and 1.
    pub blank: Blank,
    /// The column of groups, e.g. patients or bursts; all pictures of a group are in the same part.
    pub group_by: Option<String>,
}

/// What -1 means in a column of 0 and 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Uncertain {
    /// Not known.
    #[default]
    Ignore,
    /// As 0.
    Zero,
    /// As 1.
    One,
}

impl Uncertain {
    /// Whether the picture has the label.
    pub(super) fn known(self) -> Option<bool> {
        match self {
            Self::Ignore => None,
            Self::Zero => Some(false),
            Self::One => Some(true),
        }
    }
}

/// What a blank, or `nan`, means in a column of 0 and 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blank {
    /// Not known.
    #[default]
    Ignore,
    /// As 0.
    Zero,
}

impl Blank {
    /// Whether the picture has the label.
    pub(super) fn known(self) -> Option<bool> {
        match self {
            Self::Ignore => None,
            Self::Zero => Some(false),
        }
    }
}
