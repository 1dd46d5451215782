//! Which format a file has, judged by its first bytes: the formats that are read, and those that people mistake for
//! them.

use std::path::Path;

use crate::{Error, Result};

/// A format that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One safetensors file.
    Safetensors,
    /// The index of several.
    Shards,
    /// A zip archive or bare pickles of PyTorch.
    Pickle,
}

/// The extension of an index of safetensors files.
pub(super) const INDEX: &str = ".safetensors.index.json";

/// The format of `path`, which begins with `head`.
///
/// # Errors
/// What the file is instead, and what can be done about it.
pub(super) fn of(path: &Path, head: &[u8]) -> Result<Format> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // The length of a header, below 2^40, and its first character.
    if head.get(5..9) == Some(b"\0\0\0{") {
        Ok(Format::Safetensors)
    } else if head.starts_with(b"PK") || head.first() == Some(&0x80) {
        Ok(Format::Pickle)
    } else if name.ends_with(INDEX) {
        Ok(Format::Shards)
    } else if let Some(reason) = stranger(&name, head) {
        Err(Error::format(path, reason))
    } else if name.ends_with(".safetensors") {
        // A damaged archive, whose reader says what is wrong.
        Ok(Format::Safetensors)
    } else {
        let reason = "neither a safetensors file nor a PyTorch checkpoint (.pth, .pt): its first bytes match neither";
        Err(Error::format(path, reason))
    }
}

/// What a file of a format that is not read is.
fn stranger(name: &str, head: &[u8]) -> Option<String> {
    if let Some(pointer) = head.strip_prefix(b"version https://git-lfs.github.com/spec/") {
        return Some(pointer_in_words(pointer));
    }
    let text = head.trim_ascii_start().to_ascii_lowercase();
    let reason = match () {
        () if head.get(257..262) == Some(b"ustar") => {
            "a tar file, as PyTorch wrote before 2017; load it with such a version and save it again"
        }
        () if head.starts_with(b"\x89HDF\r\n\x1a\n") => {
            "an HDF5 file, as Keras writes it; only PyTorch and safetensors weights can be read"
        }
        () if name.ends_with(".onnx") || begins_as_onnx(head) => {
            "an ONNX model, which densenet export writes but does not read; give the weights that it was exported from \
             (PyTorch or safetensors)"
        }
        () if head.starts_with(b"\x93NUMPY") => "a NumPy array, not weights; predict reads such a file as its input",
        () if text.starts_with(b"<!doctype") || text.starts_with(b"<html") => {
            "a web page, not weights; the download returned a page instead of the file"
        }
        () if head.is_empty() => "an empty file",
        () => return None,
    };
    Some(reason.into())
}

/// Whether `head` begins an ONNX model: a version below 128, then the name of the program that wrote it.
fn begins_as_onnx(head: &[u8]) -> bool {
    let name = head.get(4..).and_then(|rest| rest.get(..usize::from(head[3])));
    head.first() == Some(&0x08) && head.get(2) == Some(&0x12) && name.is_some_and(|name| name.is_ascii())
}

/// Says that a file is a Git LFS pointer, whose text after the version's address is `pointer`.
fn pointer_in_words(pointer: &[u8]) -> String {
    let text = String::from_utf8_lossy(pointer);
    let size = text.lines().find_map(|line| line.strip_prefix("size ")?.trim().parse::<u64>().ok());
    let size = size.map_or(String::new(), |bytes| format!(" of {bytes} bytes"));
    format!("a Git LFS pointer to a file{size}, not the file itself; git lfs pull downloads it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, head: &[u8]) -> String {
        of(Path::new(name), head).unwrap_err().to_string()
    }

    #[test]
    fn files_that_people_take_for_weights_are_named() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 32342954\n";
        for name in ["a.safetensors", "a.pth", "a"] {
            assert!(told(name, pointer).contains("Git LFS pointer to a file of 32342954 bytes"), "{name}");
        }
        for (name, head, part) in [
            ("a.h5", &b"\x89HDF\r\n\x1a\n\0\0"[..], "HDF5"),
            ("a.onnx", b"\x08\x08\x12\x07pytorch", "ONNX"),
            ("a.pth", b"\x08\x08\x12\x08densenet\x1a\x051.0.0", "weights that it was exported from"),
            ("a.onnx", b"\x0a", "ONNX"),
            ("a.pth", b"\x08\x08\x12\x7fdensenet", "first bytes match neither"),
            ("a.pth", b"\n<!DOCTYPE html><html>", "web page"),
            ("a.pth", b"", "empty"),
            ("a.npy", b"\x93NUMPY\x01\0", "NumPy"),
            ("a.pth", b"hello", "first bytes match neither"),
        ] {
            assert!(told(name, head).contains(part), "{name}: {}", told(name, head));
        }
    }

    #[test]
    fn formats_that_are_read_are_told_by_content() {
        let formats = [
            (&b"\x10\0\0\0\0\0\0\0{\"a\""[..], Format::Safetensors),
            (b"PK\x03\x04", Format::Pickle),
            (b"\x80\x02", Format::Pickle),
        ];
        for (head, format) in formats {
            assert_eq!(of(Path::new("x"), head).unwrap(), format);
        }
        assert_eq!(of(Path::new("model.safetensors.index.json"), b"{\"weight_map\"").unwrap(), Format::Shards);
        assert_eq!(of(Path::new("cut.safetensors"), b"\x10").unwrap(), Format::Safetensors);
    }
}
