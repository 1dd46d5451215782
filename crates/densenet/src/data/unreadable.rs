//! A picture that could not be read, where the others should still be processed.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::Error;

/// A picture that could not be read, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// Its path, or another name for it.
    pub input: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Unreadable {
    /// `input`, which could not be read because of `error`.
    pub fn new(input: impl Into<String>, error: &Error) -> Self {
        let reason = match error {
            // They begin with the path, which is `input`.
            Error::Io { reason, .. } => reason.to_string(),
            Error::Format { reason, .. } => reason.clone(),
            other => other.to_string(),
        };
        Self { input: input.into(), reason }
    }
}

impl Display for Unreadable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.input, self.reason)
    }
}
