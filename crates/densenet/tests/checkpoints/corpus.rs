//! The fuzzers' corpus, replayed, and random damage to it: whatever the bytes, a network or an error, never a panic.

use std::path::{Path, PathBuf};

use densenet::Architecture;
use densenet::checkpoint::Reader;
use densenet_kernels::random::Stream;
use tempfile::TempDir;

use crate::broken::read;

/// Damaged copies of each file.
const COPIES: u64 = 150;

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut files: Vec<PathBuf> = ["safetensors", "pth"]
        .iter()
        .flat_map(|reader| std::fs::read_dir(folder.join(reader)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn every_file_is_read_or_refused_by_name() {
    let files = corpus();
    assert!(files.len() >= 10, "{} files", files.len());
    for path in files {
        let sound = path.file_stem().is_some_and(|name| name.to_string_lossy().starts_with("sound"));
        match read(&path) {
            Ok(()) => assert!(sound, "{} is read", path.display()),
            Err(error) => {
                let text = error.to_string();
                assert!(!sound && text.contains(&*path.display().to_string()), "{}: {text}", path.display());
            }
        }
    }
}

/// Zip archives and bare pickles, from the same network.
#[test]
fn every_format_of_pytorch_holds_the_same_weights() {
    let files: Vec<PathBuf> =
        corpus().into_iter().filter(|path| path.to_string_lossy().contains("pth/sound")).collect();
    let weights = files.iter().map(|path| {
        let mut reader = Reader::open(path).unwrap();
        let architecture = Architecture::new(&reader.config().unwrap()).unwrap();
        reader.weights(&architecture).unwrap()
    });
    let weights: Vec<_> = weights.collect();
    assert!(weights.len() == 3 && weights.iter().all(|other| *other == weights[0]), "{files:?}");
}

#[test]
fn random_damage_never_panics() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("damaged");
    for (number, file) in (0..).zip(corpus()) {
        let bytes = std::fs::read(&file).unwrap();
        for copy in 0..COPIES {
            std::fs::write(&path, damaged(&bytes, Stream::new(number, copy))).unwrap();
            // What comes of it does not matter.
            let _ = read(&path);
        }
    }
}

/// `bytes` with one to eight bytes changed, mostly in the front where descriptions are, and in some copies cut off.
fn damaged(bytes: &[u8], stream: Stream) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let draw = |i: u64, below: usize| (stream.bits(i) % below.max(1) as u64) as usize;
    for change in 0..=draw(0, 8) as u64 {
        let front = if draw(3 * change + 1, 4) == 0 { bytes.len() } else { bytes.len().min(4096) };
        let at = draw(3 * change + 2, front);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = match draw(3 * change + 3, 3) {
                0 => 0xff,
                1 => *byte ^ 1 << draw(100 + change, 8),
                _ => stream.bits(200 + change) as u8,
            };
        }
    }
    if draw(300, 5) == 0 {
        bytes.truncate(draw(301, bytes.len()));
    }
    bytes
}
