//! Files that are damaged, hostile, or no checkpoints at all.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use densenet::checkpoint::Reader;
use densenet::{Architecture, Config};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::goldens;
use crate::written::{tensors, write};

/// Reads a file to the end: what it says, what it is, and all its weights.
pub fn read(path: &Path) -> densenet::Result<()> {
    let mut reader = Reader::open(path)?;
    let config = reader.config()?;
    reader.weights(&Architecture::new(&config)?).map(|_| ())
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Checks that a file of these bytes is refused, and that the error names it and says `part`.
    fn refuses(&self, name: &str, bytes: &[u8], part: &str) {
        let error = read(&self.file(name, bytes)).expect_err(name).to_string();
        assert!(error.contains(name) && error.contains(part), "{name}: {part:?} is not in {error}");
    }
}

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(goldens::folder().join(name)).unwrap()
}

#[test]
fn files_cut_off_anywhere() {
    let folder = Folder::new();
    for name in ["torchvision.pth", "torchvision.legacy.pth", "torchvision.safetensors"] {
        let bytes = golden(name);
        for cut in [0, 1, 7, 9, 100, 1000, bytes.len() / 2, bytes.len() - 1000, bytes.len() - 1] {
            folder.refuses(name, &bytes[..cut], "");
        }
    }
}

#[test]
fn files_that_are_something_else() {
    let folder = Folder::new();
    folder.refuses(
        "picture.pth",
        b"\x89PNG\r\n\x1a\n and so on",
        "neither a safetensors file nor a PyTorch checkpoint",
    );
    folder.refuses("empty.pth", b"", "an empty file");
    folder.refuses("empty.safetensors", b"", "an empty file");
    folder.refuses("text.pt", b"hello, world", "neither");
    folder.refuses("archive.pth", b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "not a sound PyTorch checkpoint");
    folder.refuses("config.pkl", b"\x80\x02}X\x02\0\0\0lrG?\xb9\x99\x99\x99\x99\x99\x9as.", "without tensors");
}

/// A pickle that would run `os.system` where Python loads it.
#[test]
fn a_pickle_that_would_run_code_runs_none() {
    let folder = Folder::new();
    let mark = folder.0.path().join("mark");
    let words = format!("touch {}", mark.display());
    let mut pickle = b"\x80\x02cos\nsystem\nX".to_vec();
    pickle.extend((words.len() as u32).to_le_bytes());
    pickle.extend(words.bytes());
    pickle.extend(b"\x85R.");
    folder.refuses("evil.pth", &pickle, "evil.pth");
    let nested = [b"\x80\x02}X\x0a\0\0\0state_dict", &pickle[2..pickle.len() - 1], b"s."].concat();
    folder.refuses("nested.pth", &nested, "without tensors");
    assert!(!mark.exists());
}

#[test]
fn sizes_beyond_all_measure() {
    let folder = Folder::new();
    folder.refuses("absurd.pth", &golden("absurd.pth"), "its weights would take");
    let header = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let entry = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,18446744073709551615]}}"#;
    folder.refuses("wide.safetensors", &header(entry), "not a sound safetensors file");
    folder.refuses("header.safetensors", &[&u64::MAX.to_le_bytes()[..], b"{}"].concat(), "announces a header");
    let deep = "[".repeat(100_000);
    folder.refuses("deep.safetensors", &header(&format!("{{\"a\":{deep}")), "its header");
    let pickle = [b"\x80\x02".to_vec(), vec![b']'; 1_000_000]].concat();
    folder.refuses("deep.pth", &pickle, "not a sound PyTorch checkpoint");
    let long = [b"\x80\x04\x8d", &u64::MAX.to_le_bytes()[..], b"x"].concat();
    folder.refuses("long.pth", &long, "not a sound PyTorch checkpoint");
}

/// Pickles of which a hundred times their length would be built, and which may be a thousand times longer than the file.
#[test]
fn pickles_that_are_bombs() {
    let folder = Folder::new();
    let archive = |method, length: usize| {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file("a/data.pkl", SimpleFileOptions::default().compression_method(method)).unwrap();
        writer.write_all(&[b"\x80\x02", &vec![b'}'; length][..], b"."].concat()).unwrap();
        writer.finish().unwrap().into_inner()
    };
    folder.refuses("long.pth", &archive(CompressionMethod::Stored, 5 << 20), "a/data.pkl in it has 5242883 bytes");
    folder.refuses("deflated.pth", &archive(CompressionMethod::Deflated, 5 << 20), "a/data.pkl in it is compressed");
    let bare = [b"\x80\x02", &vec![b'}'; 5 << 20][..], b"."].concat();
    folder.refuses("bare.pth", &bare, "its pickles do not end within 4194304 bytes");
}

/// What a tar file describes has no bound that could be checked before it is built.
#[test]
fn tar_files() {
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    Folder::new().refuses("old.pth", &tar, "a tar file, as PyTorch wrote before 2017");
}

#[test]
fn a_tensor_twice() {
    let folder = Folder::new();
    let twice = r#"{"a.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let bytes = [&(twice.len() as u64).to_le_bytes()[..], twice.as_bytes(), &[0; 4]].concat();
    folder.refuses("twice.safetensors", &bytes, "a.weight occurs twice in it");
}

#[test]
fn whole_numbers_are_no_weights() {
    let folder = Folder::new();
    let config = Config { block_config: vec![1, 1], ..Config::preset("densenet-bc-40-12").unwrap() };
    let path = folder.0.path().join("ints.safetensors");
    write(&path, &tensors(&config));
    let bytes = std::fs::read(&path).unwrap();
    let text = String::from_utf8_lossy(&bytes).replacen(r#""dtype":"F32""#, r#""dtype":"I32""#, 1);
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize + 8;
    let header = text.as_bytes()[text.find('{').unwrap()..].iter().take(length - 8).copied();
    let changed: Vec<u8> = bytes[..8].iter().copied().chain(header).chain(bytes[length..].iter().copied()).collect();
    folder.refuses("ints.safetensors", &changed, "left over");
}
