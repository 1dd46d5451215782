//! IDX files, plain or gzipped: a magic number, big-endian extents, then bytes. MNIST and Fashion-MNIST use them.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Preprocessing, Split, gzip};
use crate::{Error, Result};

/// Size of the pixels in bytes beyond which a header is considered wrong; the published sets stay below 300 MB.
const MAX_BYTES: u64 = 1 << 31;

/// The file of this part (`train-images-idx3`) in `folder`, in the spellings in use, plain before gzipped.
pub(super) fn find(folder: &Path, part: &str) -> Option<PathBuf> {
    let (stem, kind) = part.rsplit_once('-')?;
    let spellings = [format!("{stem}-{kind}-ubyte"), format!("{stem}.{kind}-ubyte")];
    let files = spellings.iter().flat_map(|name| [folder.join(name), folder.join(format!("{name}.gz"))]);
    files.into_iter().find(|file| file.is_file())
}

/// Reads `PART-images-idx3-ubyte` and `PART-labels-idx1-ubyte`, `part` being `train` or `t10k`. Without class names,
/// classes are called 0, 1, ... up to the largest label.
pub(super) fn split(folder: &Path, part: &str, classes: Option<&[String]>) -> Result<Split> {
    let named = |kind: &str| {
        let name = format!("{part}-{kind}");
        find(folder, &name).ok_or_else(|| Error::format(folder, format!("{name}-ubyte, plain or .gz, is missing")))
    };
    let (images, labels) = (named("images-idx3")?, named("labels-idx1")?);
    let ([_, height, width], pixels) = read::<3>(&images)?;
    let (_, bytes) = read::<1>(&labels)?;
    let count = bytes.iter().max().map_or(0, |&largest| usize::from(largest) + 1);
    let classes = classes.map_or_else(|| (0..count).map(|c| c.to_string()).collect(), <[String]>::to_vec);
    Split::in_memory(&labels, [height, width, 1], pixels, bytes.into_iter().map(usize::from).collect(), classes)
}

/// The preprocessing for a set of grey pictures in memory: its own size, mean and standard deviation.
pub(super) fn preprocessing(split: &Split) -> Result<Preprocessing> {
    let mut histogram = [0u64; 256];
    for index in 0..split.len() {
        split.picture(index)?.pixels().iter().for_each(|&p| histogram[usize::from(p)] += 1);
    }
    let count = histogram.iter().sum::<u64>() as f64;
    let average = |of: &dyn Fn(f64) -> f64| {
        let weighted = histogram.iter().enumerate().map(|(v, &n)| n as f64 * of(v as f64 / 255.0));
        weighted.sum::<f64>() / count
    };
    let mean = average(&|v| v);
    // Pictures that are all of one shade still need a deviation above 0: that of one level.
    let std = average(&|v| (v - mean).powi(2)).sqrt().max(1.0 / 255.0);
    let first = split.picture(0)?;
    let size = first.height().max(first.width());
    Ok(Preprocessing::new(size, [mean as f32], [std as f32]))
}

/// Reads a file with `RANK` extents: the extents, and the bytes, whose number must match the header exactly.
fn read<const RANK: usize>(path: &Path) -> Result<([usize; RANK], Vec<u8>)> {
    let mut source = gzip::open(path)?;
    let mut magic = [0; 4];
    fill(&mut source, &mut magic, path)?;
    let expected = [0, 0, 8, RANK as u8];
    if magic != expected {
        let [found, expected] = [magic, expected].map(u32::from_be_bytes);
        let reason = format!("its magic number is {found:#010x}; an IDX file of {RANK} extents has {expected:#010x}");
        return Err(Error::format(path, reason));
    }
    let mut extents = [0usize; RANK];
    let mut total: u64 = 1;
    for extent in &mut extents {
        let mut word = [0; 4];
        fill(&mut source, &mut word, path)?;
        let value = u32::from_be_bytes(word);
        *extent = value as usize;
        total = total.saturating_mul(u64::from(value));
    }
    if total == 0 || total > MAX_BYTES {
        let reason = format!("its header says {extents:?}, {total} bytes; from 1 to {MAX_BYTES} are accepted");
        return Err(Error::format(path, reason));
    }
    // The vector grows with the data that really arrive, whatever the header claims.
    let mut bytes = Vec::new();
    source.take(total + 1).read_to_end(&mut bytes).map_err(|e| unreadable(path, &e))?;
    if bytes.len() as u64 != total {
        let found = if bytes.len() as u64 > total { "more".into() } else { bytes.len().to_string() };
        return Err(Error::format(path, format!("its header says {extents:?}, {total} bytes, but there are {found}")));
    }
    Ok((extents, bytes))
}

fn fill(source: &mut dyn Read, bytes: &mut [u8], path: &Path) -> Result<()> {
    source.read_exact(bytes).map_err(|e| unreadable(path, &e))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let what = if error.kind() == std::io::ErrorKind::UnexpectedEof { "truncated" } else { "corrupt" };
    Error::format(path, format!("{what}: {error}"))
}
