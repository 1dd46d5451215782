//! Why a request gets no answer.

use std::fmt::{self, Display, Formatter};

/// Why a request gets no answer, in words that say what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request is at fault.
    Invalid(String),
    /// There is no such model, version or address.
    NotFound(String),
    /// The address takes other methods.
    Method(String),
    /// More bytes than are taken.
    TooLarge(String),
    /// As much waits already as may.
    Busy(String),
    /// The server ends.
    Ending,
    /// The deadline passed before an answer was there.
    Late,
    /// The server is at fault.
    Internal(String),
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(reason)
            | Self::NotFound(reason)
            | Self::Method(reason)
            | Self::TooLarge(reason)
            | Self::Busy(reason)
            | Self::Internal(reason) => f.write_str(reason),
            Self::Ending => f.write_str("the server is about to end; ask another"),
            Self::Late => f.write_str("the deadline passed before an answer was there"),
        }
    }
}

/// An error of the library about what a request holds.
impl From<densenet::Error> for Refusal {
    fn from(error: densenet::Error) -> Self {
        Self::Invalid(error.to_string())
    }
}
