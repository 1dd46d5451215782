//! The parts of a set of pictures in files.

use std::path::PathBuf;

use super::Split;

/// What has been read of a set of pictures in files.
pub(super) struct Parts {
    /// What is trained on.
    pub train: Split,
    /// What is chosen by, where there is a test part besides.
    pub validation: Option<Split>,
    /// What is held out; the validation part where there is no other.
    pub test: Split,
    /// The folder that holds all pictures.
    pub root: PathBuf,
    /// How many folders within `root` a class's folder is in; none where a table tells the classes.
    pub class_depth: Option<usize>,
    /// Whether nothing was held out, and `train` and `test` were parted here.
    pub undivided: bool,
    /// Pictures that are told of and not there.
    pub missing: Vec<PathBuf>,
    /// What was found and not taken, in words.
    pub notes: Vec<String>,
}
