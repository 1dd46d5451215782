//! Reading PyTorch's files: zip archives, and the bare pickles of earlier versions.
//!
//! A pickle is a program. `pytorch-reader` reads what it would build without running any of it, and refuses one that
//! passes tensors to a function it does not know.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use pytorch_reader::{DType, PytorchReader, Tensor};
use safetensors::Dtype;
use zip::{CompressionMethod, ZipArchive};

use super::element::widen;
use super::entry::{self, Entry};
use super::names::natural;
use super::stored::Stored;
use super::{module_ids, opcodes, pickle_order};
use crate::{Error, Result};

/// Bytes of the longest pickle that is read; that of the largest network, with a complete optimiser state, has a
/// quarter of it. What a pickle describes can take a hundred times its own length.
const LONGEST_PICKLE: u64 = 4 << 20;

/// Checks that the pickle of a zip archive is as PyTorch writes it, short and not compressed, before anything is built
/// from it: a compressed one may be a thousand times longer than the file.
fn check_archive(path: &Path) -> Result<()> {
    let wrong = |reason: String| Error::format(path, format!("not a sound PyTorch checkpoint: {reason}"));
    let file = File::open(path).map_err(Error::io(path))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| wrong(error.to_string()))?;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|error| wrong(error.to_string()))?;
        let name = entry.name().map_err(|error| wrong(error.to_string()))?;
        let size = entry.compressed_size();
        if name.contains("/code/") {
            return Err(Error::format(
                path,
                format!(
                    "TorchScript, a program and not just weights; in Python, \
                     torch.save(torch.jit.load({:?}).state_dict(), \"weights.pth\") makes a file that can be read",
                    path.display().to_string()
                ),
            ));
        }
        if name.ends_with(".npy") {
            return Err(Error::format(
                path,
                "an archive of NumPy arrays; only a PyTorch or safetensors state dict can be read",
            ));
        }
        if !name.ends_with(".pkl") {
            continue;
        }
        if entry.compression() != CompressionMethod::Stored {
            return Err(wrong(format!("{name} in it is compressed, which PyTorch's never is")));
        }
        if size > LONGEST_PICKLE {
            return Err(wrong(format!("{name} in it has {size} bytes; a DenseNet's has fewer than {LONGEST_PICKLE}")));
        }
    }
    Ok(())
}

/// Number of pickles at the start of a bare file: a magic number, the protocol, the system, the object, its storages'
/// names.
const BARE_PICKLES: usize = 5;

/// The pickles before the object.
const BEFORE_OBJECT: usize = 3;

/// Reads a bare file, whose pickles must end before they are absurdly long; values follow them.
fn read_bare(path: &Path) -> Result<PytorchReader> {
    let mut head = Vec::new();
    let file = File::open(path).map_err(Error::io(path))?;
    file.take(LONGEST_PICKLE + 1).read_to_end(&mut head).map_err(Error::io(path))?;
    if head.len() as u64 > LONGEST_PICKLE && opcodes::end(&head, BARE_PICKLES).is_none() {
        return Err(unsound(path, &format!("its pickles do not end within {LONGEST_PICKLE} bytes")));
    }
    let object = opcodes::end(&head, BEFORE_OBJECT).zip(opcodes::end(&head, BEFORE_OBJECT + 1));
    match object.and_then(|(start, end)| Some((start, end, module_ids::reworded(&head[start..end])?))) {
        Some((start, end, object)) => read_reworded(path, &head[..start], &object, end as u64),
        None => PytorchReader::new(path).map_err(|error| unsound(path, &error)),
    }
}

/// Reads `path` with its bytes up to `end` replaced by `head` and `object`. `pytorch-reader` accepts only files, so the
/// pieces are joined in a temporary one; its values are read from there after its name has been removed.
fn read_reworded(path: &Path, head: &[u8], object: &[u8], end: u64) -> Result<PytorchReader> {
    let copy = || -> io::Result<_> {
        let mut copy = tempfile::NamedTempFile::new()?;
        copy.write_all(head)?;
        copy.write_all(object)?;
        let mut rest = File::open(path)?;
        rest.seek(SeekFrom::Start(end))?;
        io::copy(&mut rest, &mut copy)?;
        copy.flush()?;
        Ok(copy)
    };
    let copy = copy().map_err(Error::io(path))?;
    PytorchReader::new(copy.path()).map_err(|error| unsound(path, &error))
}

fn unsound(path: &Path, reason: &dyn Display) -> Error {
    Error::format(path, format!("not a sound PyTorch checkpoint: {reason}"))
}

/// The requested network's part of a PyTorch file.
pub(super) struct Contents {
    pub tensors: Vec<Stored>,
    pub values: Vec<Tensor>,
    /// Notes on the choice of the network.
    pub notes: Vec<String>,
}

/// Opens `path`, whose first bytes `head` show the format, and returns its tensors in the order in which the pickle
/// names them, or by name where that order cannot be determined.
///
/// # Errors
/// A file that cannot be read, is damaged, or holds no tensors.
pub(super) fn open(path: &Path, head: &[u8], wanted: Option<&str>) -> Result<Contents> {
    let reader = match head.starts_with(b"PK") {
        true => check_archive(path).and_then(|()| PytorchReader::new(path).map_err(|error| unsound(path, &error)))?,
        false => read_bare(path)?,
    };
    let mut values: Vec<Tensor> = reader.into_tensors().into_values().collect();
    if values.is_empty() {
        return Err(Error::format(path, "a pickle without tensors; a state dict is needed"));
    }
    let named: Vec<_> = values.iter().map(|tensor| (&*tensor.name, tensor.shape().len())).collect();
    let Entry { prefix, notes } = entry::find(&named, wanted).map_err(|reason| Error::format(path, reason))?;
    values.retain(|tensor| tensor.name.starts_with(&prefix));
    values.iter_mut().for_each(|tensor| _ = tensor.name.drain(..prefix.len()));
    values.sort_by(|a, b| natural(&a.name, &b.name));
    let names: Vec<&str> = values.iter().map(|tensor| tensor.name.as_str()).collect();
    if let Some(places) = pickle_order::places(path, &names).map_err(Error::io(path))? {
        let mut placed: Vec<_> = places.into_iter().zip(values).collect();
        placed.sort_by_key(|(place, _)| *place);
        values = placed.into_iter().map(|(_, tensor)| tensor).collect();
    }
    Ok(Contents { tensors: values.iter().map(stored).collect(), values, notes })
}

fn stored(tensor: &Tensor) -> Stored {
    Stored { name: tensor.name.clone(), dtype: dtype(tensor.dtype()), shape: tensor.shape().to_vec() }
}

/// Reads `tensor` into `out`.
pub(super) fn read(tensor: &Tensor, out: &mut [f32]) -> io::Result<()> {
    widen(dtype(tensor.dtype()), &tensor.read()?, out)
}

fn dtype(dtype: DType) -> Dtype {
    match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::I16 => Dtype::I16,
        DType::I8 => Dtype::I8,
        DType::U64 => Dtype::U64,
        DType::U32 => Dtype::U32,
        DType::U16 => Dtype::U16,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
    }
}
