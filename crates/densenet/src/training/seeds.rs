//! The seeds of everything random in a run.

use densenet_kernels::random::Stream;

/// The seed of `number` among those for `purpose` in a run with the seed `run`: for augmentation (`augment`) the number
/// of the epoch, for mixing (`mix`) the number of the step; both count from 0.
pub fn seed_of(run: u64, purpose: &str, number: u64) -> u64 {
    let purpose = purpose.bytes().fold(0, |name, byte| name << 8 | u64::from(byte));
    Stream::new(run, purpose).bits(number)
}
