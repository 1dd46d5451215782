//! The layers before the first block.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::limits::check;
use crate::{Error, Result};

/// Largest kernel and stride of a stem's pooling.
const LARGEST_WINDOW: usize = 64;

/// The layers before the first block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// 7x7 convolution of stride 2, batch-norm, ReLU, 3x3 max pooling of stride 2 (table 1 of the paper).
    ImageNet,
    /// One 3x3 convolution (section 3, CIFAR and SVHN).
    Cifar,
    /// Any other stem.
    Other(StemShape),
}

/// The parts of a stem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StemShape {
    /// Height and width of the convolution's kernel; odd.
    pub kernel: usize,
    /// The convolution's stride, in pixels.
    pub stride: usize,
    /// Whether batch-norm and ReLU follow the convolution.
    pub norm: bool,
    /// The pooling after those, if any; only after a batch-norm. JSON may also say `true` or `false`, as older files do
    /// for [`StemPool::IMAGENET`] and none.
    #[serde(deserialize_with = "pool_or_flag")]
    pub pool: Option<StemPool>,
}

/// The pooling of a stem, with PyTorch's rules: extents are rounded down; padding is never the maximum, and counts as
/// zeros in an average. As text `max:3,2,1`: kind, kernel, stride, padding. The stride may be left out if it equals the
/// kernel, the padding if it is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StemPool {
    /// How the pixels of a window are combined.
    pub kind: PoolKind,
    /// Height and width of the window, in pixels.
    pub kernel: usize,
    /// Stride between windows, in pixels.
    pub stride: usize,
    /// Pixels by which windows reach over each edge; at most half of the kernel.
    pub padding: usize,
}

/// How the pixels of a window are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PoolKind {
    /// The largest.
    Max,
    /// The mean.
    Average,
}

impl Stem {
    /// The stem of this shape, by its name if it has one.
    pub fn of(shape: StemShape) -> Self {
        [Self::ImageNet, Self::Cifar].into_iter().find(|stem| stem.shape() == shape).unwrap_or(Self::Other(shape))
    }

    /// Its shape.
    pub fn shape(self) -> StemShape {
        match self {
            Self::ImageNet => StemShape { kernel: 7, stride: 2, norm: true, pool: Some(StemPool::IMAGENET) },
            Self::Cifar => StemShape { kernel: 3, stride: 1, norm: false, pool: None },
            Self::Other(shape) => shape,
        }
    }

    pub(super) fn validate(self) -> Result<()> {
        let StemShape { kernel, stride, norm, pool } = self.shape();
        check(kernel % 2 == 1 && kernel <= 15, || {
            format!("the stem's kernel is {kernel}; it must be odd, at most 15")
        })?;
        check((1..=kernel).contains(&stride), || {
            format!("the stem's stride is {stride}; it must be from 1 to {kernel}")
        })?;
        check(norm || pool.is_none(), || {
            "the stem pools without a batch-norm; its pooling must follow norm and ReLU".into()
        })?;
        pool.map_or(Ok(()), StemPool::validate)
    }
}

impl StemPool {
    /// The pooling of the paper's ImageNet networks: the maximum of 3x3 pixels, stride 2, padding 1.
    pub const IMAGENET: Self = Self { kind: PoolKind::Max, kernel: 3, stride: 2, padding: 1 };

    /// Output extent along one axis for an input extent, or `None` where the window does not fit.
    pub fn output_extent(self, input: usize) -> Option<usize> {
        (input + 2 * self.padding).checked_sub(self.kernel).map(|room| room / self.stride + 1)
    }

    /// In words, e.g. `3x3 max pooling of stride 2 and padding 1`.
    pub fn in_words(self) -> String {
        let Self { kind, kernel, stride, padding } = self;
        let padding = if padding > 0 { format!(" and padding {padding}") } else { String::new() };
        format!("{kernel}x{kernel} {kind} pooling of stride {stride}{padding}")
    }

    fn validate(self) -> Result<()> {
        let Self { kernel, stride, padding, .. } = self;
        for (what, value) in [("kernel", kernel), ("stride", stride)] {
            check((1..=LARGEST_WINDOW).contains(&value), || {
                format!("the {what} of the stem's pooling is {value}; it must be from 1 to {LARGEST_WINDOW}")
            })?;
        }
        check(padding <= kernel / 2, || {
            format!("the padding of the stem's pooling is {padding}; it must be at most half of the kernel, {kernel}")
        })
    }
}

impl Display for PoolKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Display for StemPool {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { kind, kernel, stride, padding } = self;
        write!(f, "{kind}:{kernel},{stride},{padding}")
    }
}

impl FromStr for StemPool {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let read = || {
            let (kind, numbers) = text.split_once(':')?;
            let kind = [PoolKind::Max, PoolKind::Average].into_iter().find(|known| known.to_string() == kind)?;
            let numbers: Vec<usize> = numbers.split(',').map(|number| number.parse().ok()).collect::<Option<_>>()?;
            let (kernel, stride, padding) = match *numbers {
                [kernel] => (kernel, kernel, 0),
                [kernel, stride] => (kernel, stride, 0),
                [kernel, stride, padding] => (kernel, stride, padding),
                _ => return None,
            };
            Some(Self { kind, kernel, stride, padding })
        };
        let wrong =
            || Error::Config(format!("{text:?} is not a pooling; use max:K, max:K,S, max:K,S,P or average:..."));
        let pool = read().ok_or_else(wrong)?;
        pool.validate().map(|()| pool)
    }
}

/// The pooling, or whether there is the usual one.
fn pool_or_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<StemPool>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "pool must be null, true, false, or an object with kind, kernel, stride and padding")]
    enum Written {
        Flag(bool),
        Pool(Option<StemPool>),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::Flag(flag) => flag.then_some(StemPool::IMAGENET),
        Written::Pool(pool) => pool,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<StemShape, serde_json::Error> {
        serde_json::from_str(&format!(r#"{{"kernel": 5, "stride": 2, "norm": true, "pool": {json}}}"#))
    }

    #[test]
    fn a_pool_is_an_object_and_was_a_flag() {
        let pool = |json: &str| read(json).unwrap().pool;
        assert_eq!([pool("true"), pool("false"), pool("null")], [Some(StemPool::IMAGENET), None, None]);
        let two = StemPool { kind: PoolKind::Average, kernel: 2, stride: 2, padding: 0 };
        assert_eq!(pool(r#"{"kind": "average", "kernel": 2, "stride": 2, "padding": 0}"#), Some(two));
        for pool in [None, Some(two), Some(StemPool::IMAGENET)] {
            let shape = StemShape { pool, ..read("true").unwrap() };
            let text = serde_json::to_string(&shape).unwrap();
            assert_eq!(serde_json::from_str::<StemShape>(&text).unwrap(), shape, "{text}");
        }
        for wrong in ["2", r#""max""#, r#"{"kind": "max", "kernel": 2, "stride": 2, "padding": 0, "dilation": 1}"#] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains("an object with kind, kernel, stride and padding"), "{error}");
        }
    }

    #[test]
    fn a_pool_is_a_text() {
        for (text, kind, numbers) in [
            ("max:2", PoolKind::Max, [2, 2, 0]),
            ("max:3,2", PoolKind::Max, [3, 2, 0]),
            ("average:3,2,1", PoolKind::Average, [3, 2, 1]),
        ] {
            let [kernel, stride, padding] = numbers;
            let pool: StemPool = text.parse().unwrap();
            assert_eq!(pool, StemPool { kind, kernel, stride, padding }, "{text}");
            assert_eq!(pool.to_string().parse::<StemPool>().unwrap(), pool);
        }
        for (text, part) in [
            ("max", "not a pooling"),
            ("median:3", "not a pooling"),
            ("max:3,2,1,0", "not a pooling"),
            ("max:3,-1", "not a pooling"),
            ("max:0", "kernel of the stem's pooling is 0"),
            ("max:2,65", "stride of the stem's pooling is 65"),
            ("average:3,2,2", "padding of the stem's pooling is 2"),
        ] {
            let error = text.parse::<StemPool>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
