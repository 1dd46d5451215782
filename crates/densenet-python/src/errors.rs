//! The library's errors as Python's exceptions, with the same messages.

use std::io::ErrorKind;

use densenet::Error;
use pyo3::PyErr;
use pyo3::exceptions::{PyArithmeticError, PyFileNotFoundError, PyMemoryError, PyOSError, PyValueError};

/// The exception of `error`.
pub fn exception(error: Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Io { reason, .. } if reason.kind() == ErrorKind::NotFound => PyFileNotFoundError::new_err(message),
        Error::Io { .. } => PyOSError::new_err(message),
        Error::Memory { .. } => PyMemoryError::new_err(message),
        Error::Diverged { .. } => PyArithmeticError::new_err(message),
        _ => PyValueError::new_err(message),
    }
}
