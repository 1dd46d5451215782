//! The parts of a set of pictures in files.

use std::path::PathBuf;

use super::Split;

/// What has been read from a set of pictures in files.
pub(super) struct Parts {
    /// The training part.
    pub train: Split,
    /// The validation part, if there is also a test part.
    pub validation: Option<Split>,
    /// The held-out part: test, or validation where there is no test part.
    pub test: Split,
    /// The folder that holds all pictures.
    pub root: PathBuf,
    /// How many folders below `root` a class folder is; `None` where a table names the classes.
    pub class_depth: Option<usize>,
    /// Whether nothing was held out, so that `train` and `test` were divided here.
    pub undivided: bool,
    /// Pictures that are listed but missing.
    pub missing: Vec<PathBuf>,
    /// Notes on what was found but not used.
    pub notes: Vec<String>,
}
