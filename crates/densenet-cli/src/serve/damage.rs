//! Damaged requests for testing parsers.

use std::path::Path;

use densenet_kernels::random::Stream;

/// Number of damaged copies of each request.
const COPIES: u64 = 2000;

/// Bytes with a meaning in JSON.
const TELLING: &[u8] = b"0123456789-.e\"[]{},:n";

/// The seeds of a fuzzer, by name.
pub fn corpus(fuzzer: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(fuzzer);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())).collect()
}

/// Copies of `bytes`, each with one to eight bytes changed, removed or duplicated, and some truncated.
pub fn copies(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..COPIES).map(|copy| damaged(bytes.to_vec(), Stream::new(copy, 0)))
}

fn damaged(mut bytes: Vec<u8>, stream: Stream) -> Vec<u8> {
    let draw = |i: u64, below: usize| (stream.bits(i) % below.max(1) as u64) as usize;
    for change in 0..=draw(0, 8) as u64 {
        let at = draw(4 * change + 1, bytes.len());
        let Some(&byte) = bytes.get(at) else { break };
        match draw(4 * change + 2, 5) {
            0 => bytes[at] = 0xff,
            1 => bytes[at] ^= 1 << draw(4 * change + 3, 8),
            2 => bytes[at] = TELLING[draw(4 * change + 3, TELLING.len())],
            3 => drop(bytes.remove(at)),
            _ => bytes.insert(at, byte),
        }
    }
    if draw(1000, 8) == 0 {
        bytes.truncate(draw(1001, bytes.len()));
    }
    bytes
}
