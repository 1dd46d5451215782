//! What can go wrong, in messages that name the file, line or value and what would be right.

use std::path::PathBuf;

/// The library's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The library's error type.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A configuration that no network can have.
    #[error("configuration: {0}")]
    Config(String),
    /// Settings that no training run can have.
    #[error("training settings: {0}")]
    Settings(String),
    /// A training run whose values are no longer finite.
    #[error("{what} at step {step}, learning rate {lr}; try a lower one")]
    Diverged {
        /// The step, from 1.
        step: u64,
        /// Its learning rate.
        lr: f64,
        /// What is not finite.
        what: String,
    },
    /// A training step for which there is not enough memory.
    #[error(
        "no {mib} MiB of memory for a training step: {reason}; try a smaller batch or picture, micro-batches, or the low memory level"
    )]
    Memory {
        /// Memory needed, in units of 1,048,576 bytes (MiB).
        mib: usize,
        /// The operating system's reason.
        reason: std::io::Error,
    },
    /// A picture size that the network cannot take.
    #[error("picture size {height}x{width}: {reason}")]
    PictureSize {
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
        /// Why not, and what would work.
        reason: String,
    },
    /// A preprocessing that cannot be applied to any picture.
    #[error("preprocessing: {0}")]
    Preprocessing(String),
    /// A data set that is not on this machine and could not be downloaded.
    #[error("data set {name}: {reason}")]
    DataSet {
        /// The data set, as it was named.
        name: String,
        /// Why not, where the library looked for it, and what would help.
        reason: String,
    },
    /// A file that could not be read or written.
    #[error("{}: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        reason: std::io::Error,
    },
    /// A file whose content is not what it should be.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
}

impl Error {
    /// An [`Error::Io`] about `path`, for `map_err`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |reason| Self::Io { path, reason }
    }

    /// An [`Error::Format`] about `path`.
    pub fn format(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Format { path: path.into(), reason: reason.into() }
    }
}
