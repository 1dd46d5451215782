//! Random numbers by name, as `../goldens/networks.py` draws them, too.

use densenet_kernels::random::Stream;

/// Seed of everything that is made up.
const SEED: u64 = 2017;

/// The stream whose number is the name's FNV-1a hash.
pub fn stream(name: &str) -> Stream {
    let hash = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    Stream::new(SEED, name.bytes().fold(0xcbf2_9ce4_8422_2325, hash))
}
