//! The inputs that the command line names: pictures, the pictures in folders, and arrays.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use densenet::data::{SUFFIXES, Unreadable, pictures_in};
use densenet::network::DenseNet;
use ndarray::Array4;
use npyz::{NpyFile, NpyHeader};
use sha2::{Digest, Sha256};

use crate::output;

/// What is predicted together.
pub enum Input {
    /// Pictures that follow each other.
    Pictures(Vec<PathBuf>),
    /// A `.npy` file.
    Array {
        /// Where it is.
        path: PathBuf,
        /// How many are in it.
        inputs: usize,
    },
}

impl Input {
    /// How many inputs it is.
    pub fn count(&self) -> usize {
        match self {
            Self::Pictures(files) => files.len(),
            Self::Array { inputs, .. } => *inputs,
        }
    }
}

/// One of the parts that inputs are divided into.
#[derive(Clone, Copy, Debug)]
pub struct Shard {
    number: u64,
    of: u64,
}

impl Shard {
    /// `2/5`: the second of five.
    pub fn parse(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err("it must be I/N with I from 1 to N, such as 2/5".into()),
        }
    }

    /// Whether this shard takes `path`, by the hash of the path: exactly one shard does, whatever other inputs there
    /// are.
    fn takes(self, path: &Path) -> bool {
        let hash = Sha256::digest(path.as_os_str().as_encoded_bytes());
        let number = hash.iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte));
        number % self.of == self.number - 1
    }
}

/// The inputs of `paths` in their order, those of one `shard` if there is one. `leave_out` is told of folders and
/// arrays from which nothing can be taken.
pub fn inputs(
    paths: &[PathBuf],
    shard: Option<Shard>,
    network: &DenseNet,
    mut leave_out: impl FnMut(Unreadable),
) -> Vec<Input> {
    let mut inputs = Vec::new();
    for path in paths {
        let found = if is_array(path) { array(path, network) } else { pictures(path) };
        let taken = |path: &PathBuf| shard.is_none_or(|shard| shard.takes(path));
        match (found, inputs.last_mut()) {
            (Ok(Input::Pictures(mut files)), before) => {
                files.retain(taken);
                match before {
                    Some(Input::Pictures(before)) => before.append(&mut files),
                    _ => inputs.push(Input::Pictures(files)),
                }
            }
            (Ok(array), _) => inputs.extend(taken(path).then_some(array)),
            (Err(error), _) => leave_out(unreadable(path, &error)),
        }
    }
    inputs
}

fn is_array(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("npy"))
}

fn array(path: &Path, network: &DenseNet) -> Result<Input> {
    Ok(Input::Array { path: path.into(), inputs: Array::open(path, network)?.inputs })
}

fn pictures(path: &Path) -> Result<Input> {
    Ok(Input::Pictures(if path.is_dir() { folder(path)? } else { vec![path.into()] }))
}

/// An input of which nothing can be read.
fn unreadable(path: &Path, error: &anyhow::Error) -> Unreadable {
    let (input, text) = (path.display().to_string(), output::with_causes(error));
    let reason = text.strip_prefix(&format!("{input}: ")).unwrap_or(&text).to_string();
    Unreadable { input, reason }
}

/// The pictures of a folder; what is left out is reported.
fn folder(path: &Path) -> Result<Vec<PathBuf>> {
    let found = pictures_in(path)?;
    if found.pictures.is_empty() {
        bail!("{}: no pictures in it; files ending in {} are read", path.display(), SUFFIXES.join(", "));
    }
    if found.left_out.count() > 0 {
        output::note(format_args!("{}: left out files that are not pictures ({})", path.display(), found.left_out));
    }
    Ok(found.pictures)
}

/// A `.npy` of inputs, open at the first.
pub struct Array {
    pub file: NpyFile<BufReader<File>>,
    pub inputs: usize,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl Array {
    /// Opens `path` and checks that `network` takes what is in it.
    pub fn open(path: &Path, network: &DenseNet) -> Result<Self> {
        let name = path.display();
        let file = File::open(path).with_context(|| name.to_string())?;
        let length = file.metadata().with_context(|| name.to_string())?.len();
        let mut reader = BufReader::new(file);
        let header = NpyHeader::from_reader(&mut reader).with_context(|| format!("{name}: not a sound .npy file"))?;
        let begin = reader.stream_position().with_context(|| name.to_string())?;
        let file = NpyFile::with_header(header, reader);
        let channels = network.architecture().config.in_channels as u64;
        let &[n, c, h, w] = file.shape() else {
            bail!("{name}: its shape is {:?}; N,C,H,W is needed", file.shape());
        };
        if c != channels || n == 0 || file.order() != npyz::Order::C {
            let shape = file.shape();
            bail!("{name}: its shape is {shape:?}; this network needs N,{channels},H,W with N at least 1, in C order");
        }
        let float32 = matches!(file.dtype(), npyz::DType::Plain(element) if element.to_string().ends_with("f4"));
        if !float32 {
            bail!("{name}: its elements are {}; they must be float32", file.dtype().descr());
        }
        let (height, width) = (usize::try_from(h)?, usize::try_from(w)?);
        network.architecture().block_sizes(height, width).with_context(|| name.to_string())?;
        let bytes = [c, h, w, 4].iter().try_fold(n, |product: u64, extent| product.checked_mul(*extent));
        if bytes.is_none_or(|bytes| bytes > length - begin) {
            bail!("{name}: cut off: its shape is {:?}, but only {} bytes are there", file.shape(), length - begin);
        }
        Ok(Self { file, inputs: usize::try_from(n)?, channels: c as usize, height, width })
    }

    /// What is in it, at most `batch` inputs at a time as `(N, C, H, W)`. Errors are about `path`.
    pub fn batches(self, path: &Path, batch: usize) -> Result<impl Iterator<Item = Result<Array4<f32>>>> {
        let Self { file, inputs, channels, height, width } = self;
        let name = path.display().to_string();
        let mut values = file.data::<f32>().with_context(|| format!("{name}: its elements must be float32"))?;
        Ok((0..inputs).step_by(batch).map(move |start| {
            let shape = (batch.min(inputs - start), channels, height, width);
            let elements = shape.0 * channels * height * width;
            let read: Result<Vec<f32>, _> = values.by_ref().take(elements).collect();
            Ok(Array4::from_shape_vec(shape, read.with_context(|| format!("{name}: cut off"))?)?)
        }))
    }
}
