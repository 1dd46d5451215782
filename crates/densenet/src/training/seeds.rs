//! The seeds of all that is random in a run.

use densenet_kernels::random::Stream;

/// The seed of `number` among those for `purpose` in a run with the seed `run`: of augmentation (`augment`) in an epoch, of
/// mixing (`mix`) in a step; both count from 0.
pub fn seed_of(run: u64, purpose: &str, number: u64) -> u64 {
    let purpose = purpose.bytes().fold(0, |name, byte| name << 8 | u64::from(byte));
    Stream::new(run, purpose).bits(number)
}
