//! Reading PyTorch's files: zip archives, and the bare pickles before them.
//!
//! A pickle is a program. `pytorch-reader` reads what it would build and runs nothing of it, and refuses one that hands
//! tensors to a function it does not know.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use pytorch_reader::{DType, PytorchReader, Tensor};
use safetensors::Dtype;
use zip::{CompressionMethod, ZipArchive};

use super::element::widen;
use super::names::natural;
use super::stored::Stored;
use super::{opcodes, pickle_order};
use crate::{Error, Result};

/// Names under which training programs keep the weights beside other things, the likeliest first.
const WRAPPERS: [&str; 13] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "weights",
    "params",
    "module",
    "ema",
    "model_ema",
    "state_dict_ema",
    "_orig_mod",
];

/// Bytes of the longest pickle that is read; that of the largest network, with all that an optimiser
/// keeps, has a quarter of it. What a pickle describes can take a hundred times its own length.
const LONGEST_PICKLE: u64 = 4 << 20;

/// Checks that the pickle of a zip archive is as PyTorch writes it, short and not compressed, before anything is built of
/// it: a compressed one may be a thousand times longer than the file.
fn check_archive(path: &Path) -> Result<()> {
    let wrong = |reason: String| Error::format(path, format!("not a sound PyTorch checkpoint: {reason}"));
    let file = File::open(path).map_err(Error::io(path))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| wrong(error.to_string()))?;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|error| wrong(error.to_string()))?;
        let name = entry.name().map_err(|error| wrong(error.to_string()))?;
        let size = entry.compressed_size();
        if !name.ends_with(".pkl") {
            continue;
        }
        if entry.compression() != CompressionMethod::Stored {
            return Err(wrong(format!("{name} in it is compressed, which PyTorch's never is")));
        }
        if size > LONGEST_PICKLE {
            return Err(wrong(format!("{name} in it has {size} bytes; that of a DenseNet has below {LONGEST_PICKLE}")));
        }
    }
    Ok(())
}

/// Pickles that the bare format begins with: a magic number, the protocol, the system, the object, its storages' names.
const BARE_PICKLES: usize = 5;

/// Checks that the pickles of a bare file end before they are absurdly long; what follows them is values.
fn check_bare(path: &Path) -> Result<()> {
    let mut head = Vec::new();
    let file = File::open(path).map_err(Error::io(path))?;
    file.take(LONGEST_PICKLE + 1).read_to_end(&mut head).map_err(Error::io(path))?;
    if head.len() as u64 > LONGEST_PICKLE && opcodes::end(&head, BARE_PICKLES).is_none() {
        let reason = format!("not a sound PyTorch checkpoint: its pickles do not end within {LONGEST_PICKLE} bytes");
        return Err(Error::format(path, reason));
    }
    Ok(())
}

/// Opens `path`, of the format that `head`, its first bytes, tell, and returns its tensors, in the order in which the pickle
/// names them where it can be told and else by name.
///
/// # Errors
/// A file that cannot be read, is damaged, or holds no tensors.
pub(super) fn open(path: &Path, head: &[u8]) -> Result<(Vec<Stored>, Vec<Tensor>)> {
    match head.starts_with(b"PK") {
        true => check_archive(path)?,
        false => check_bare(path)?,
    }
    let reader = PytorchReader::new(path)
        .map_err(|error| Error::format(path, format!("not a sound PyTorch checkpoint: {error}")))?;
    let mut tensors: Vec<Tensor> = reader.into_tensors().into_values().collect();
    if tensors.is_empty() {
        return Err(Error::format(path, "a pickle without tensors; a state dict is needed"));
    }
    let prefix = wrapper(&tensors);
    tensors.retain(|tensor| tensor.name.starts_with(&prefix));
    tensors.iter_mut().for_each(|tensor| _ = tensor.name.drain(..prefix.len()));
    tensors.sort_by(|a, b| natural(&a.name, &b.name));
    let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    if let Some(places) = pickle_order::places(path, &names).map_err(Error::io(path))? {
        let mut placed: Vec<_> = places.into_iter().zip(tensors).collect();
        placed.sort_by_key(|(place, _)| *place);
        tensors = placed.into_iter().map(|(_, tensor)| tensor).collect();
    }
    Ok((tensors.iter().map(stored).collect(), tensors))
}

fn stored(tensor: &Tensor) -> Stored {
    Stored { name: tensor.name.clone(), dtype: dtype(tensor.dtype()), shape: tensor.shape().to_vec() }
}

/// What stands before the weights' names: the keys of the dictionaries around them, each with a dot. Of several entries
/// of a dictionary, the one is taken that has a usual name and holds both a kernel and a linear layer.
fn wrapper(tensors: &[Tensor]) -> String {
    let mut prefix = String::new();
    loop {
        let inside = || tensors.iter().filter_map(|tensor| Some((tensor.name.strip_prefix(&*prefix)?, tensor)));
        let keys: BTreeSet<&str> = inside().filter_map(|(name, _)| name.split_once('.')).map(|(key, _)| key).collect();
        let alone = keys.len() == 1 && inside().all(|(name, _)| name.contains('.'));
        let whole = |key: &str| {
            let ranks: BTreeSet<usize> = inside()
                .filter(|(name, _)| name.split_once('.').is_some_and(|(first, _)| first == key))
                .map(|(_, tensor)| tensor.shape().len())
                .collect();
            ranks.contains(&4) && ranks.contains(&2)
        };
        let Some(key) = WRAPPERS.into_iter().find(|key| keys.contains(key) && (alone || whole(key))) else {
            return prefix;
        };
        prefix += &format!("{key}.");
    }
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
