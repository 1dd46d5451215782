//! The layers after the last block.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How the last block's normalised maps `(N, C, H, W)` are reduced before they are classified; the result is the
/// features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeadPool {
    /// `(N, C)`: the mean of each map.
    #[default]
    Average,
    /// `(N, C)`: the maximum of each map.
    Max,
    /// `(N, C * H * W)`: all pixels, in the order of PyTorch's `flatten(1)`. Such a network takes pictures of its
    /// `input_size` only.
    None,
}

impl HeadPool {
    /// All variants.
    pub const ALL: [Self; 3] = [Self::Average, Self::Max, Self::None];

    pub(super) fn is_average(&self) -> bool {
        *self == Self::Average
    }
}

impl Display for HeadPool {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl FromStr for HeadPool {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Config(format!("{text:?} is not a pooling of the last maps; use average, max or none"));
        Self::ALL.into_iter().find(|pool| pool.to_string() == text).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_a_text() {
        for pool in HeadPool::ALL {
            assert_eq!(pool.to_string().parse::<HeadPool>().unwrap(), pool);
        }
        assert_eq!("none".parse::<HeadPool>().unwrap(), HeadPool::None);
        assert!("mean".parse::<HeadPool>().unwrap_err().to_string().contains("average, max or none"));
    }
}
