//! Limits for checking a configuration.

use crate::{Error, Result};

/// No width in the published family comes near this; beyond it, a file or a flag is wrong.
pub(super) const LARGEST: usize = 65_536;

/// An error about the configuration with this `message`, unless the condition `holds`.
pub(super) fn check(holds: bool, message: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Config(message())) }
}
