//! Labelled pictures, and how a batch of them becomes a network's input.

use std::path::{Path, PathBuf};

use fast_image_resize::Resizer;
use rayon::prelude::*;

use super::augment::{self, Augment};
use super::{Picture, Preprocessing};
use crate::{Error, Result};

/// Labelled pictures of one part of a data set: at least one, every label within the classes.
#[derive(Clone, Debug)]
pub struct Split {
    pictures: Pictures,
    labels: Vec<usize>,
    classes: Vec<String>,
}

#[derive(Clone, Debug)]
enum Pictures {
    /// Decoded, all of one shape: `[count, height, width, channels]`.
    Memory { height: usize, width: usize, channels: usize, pixels: Vec<u8> },
    /// Read when they are needed, so that a folder of any size takes no memory.
    Files(Vec<PathBuf>),
}

impl Split {
    /// Pictures in memory: `pixels` is `[count, height, width, channels]`, row-major, `shape` `[height, width,
    /// channels]`. Errors are about `path`.
    ///
    /// # Errors
    /// No picture, another number of labels than pictures, or a label that is not below the number of classes.
    pub fn in_memory(
        path: &Path,
        shape: [usize; 3],
        pixels: Vec<u8>,
        labels: Vec<usize>,
        classes: Vec<String>,
    ) -> Result<Self> {
        let [height, width, channels] = shape;
        let bytes = height * width * channels;
        if bytes == 0 || !pixels.len().is_multiple_of(bytes) {
            let reason = format!("{} bytes are no whole number of {height}x{width}x{channels} pictures", pixels.len());
            return Err(Error::format(path, reason));
        }
        let count = pixels.len() / bytes;
        Self { pictures: Pictures::Memory { height, width, channels, pixels }, labels, classes }.checked(path, count)
    }

    /// Pictures in files, each decoded when it is needed. Errors are about `path`.
    ///
    /// # Errors
    /// The same as [`Split::in_memory`].
    pub fn of_files(path: &Path, files: Vec<PathBuf>, labels: Vec<usize>, classes: Vec<String>) -> Result<Self> {
        let count = files.len();
        Self { pictures: Pictures::Files(files), labels, classes }.checked(path, count)
    }

    fn checked(self, path: &Path, pictures: usize) -> Result<Self> {
        let (labels, classes) = (self.labels.len(), self.classes.len());
        if pictures != labels {
            return Err(Error::format(path, format!("{pictures} pictures but {labels} labels; each needs one")));
        }
        if pictures == 0 {
            return Err(Error::format(path, "no pictures; a data set needs at least one"));
        }
        if let Some((i, label)) = self.labels.iter().enumerate().find(|&(_, &label)| label >= classes) {
            let reason = format!("label {label} of picture {i} is out of range; {classes} classes count from 0");
            return Err(Error::format(path, reason));
        }
        Ok(self)
    }

    /// Number of pictures, at least 1.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The class of each picture, an index into [`classes`](Self::classes).
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The classes' names.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The file of picture `index`; none for a set in memory.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    pub fn path(&self, index: usize) -> Option<&Path> {
        match &self.pictures {
            Pictures::Memory { .. } => None,
            Pictures::Files(files) => Some(&files[index]),
        }
    }

    /// Picture `index` as it is stored.
    ///
    /// # Errors
    /// A file that cannot be read as a picture.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    pub fn picture(&self, index: usize) -> Result<Picture<'_>> {
        match &self.pictures {
            &Pictures::Memory { height, width, channels, ref pixels } => {
                let bytes = height * width * channels;
                Picture::new(height, width, channels, &pixels[index * bytes..][..bytes])
            }
            Pictures::Files(files) => Picture::open(&files[index]),
        }
    }

    /// Writes the pictures of `indices` into `out`, `[N, C, H, W]` row-major with `C`, `H` and `W` of `preprocessing`,
    /// in parallel. What is random depends on `seed` and each picture's index alone: give every epoch its own seed.
    ///
    /// # Errors
    /// A picture that cannot be read or is too long and thin to resize.
    ///
    /// # Panics
    /// When an index is not below [`len`](Self::len), or `out` is not of `N * C * H * W` elements.
    pub fn fill(
        &self,
        indices: &[usize],
        preprocessing: &Preprocessing,
        augment: Augment,
        seed: u64,
        out: &mut [f32],
    ) -> Result<()> {
        let elements = preprocessing.elements();
        assert_eq!(out.len(), indices.len() * elements, "elements of the batch");
        out.par_chunks_exact_mut(elements).zip(indices).try_for_each_init(Resizer::new, |resizer, (out, &index)| {
            let picture = self.picture(index)?.convert(preprocessing.channels());
            let mut rng = augment::draws(seed, index);
            let framed = match augment {
                Augment::None | Augment::Flip => preprocessing.frame(picture, resizer)?,
                Augment::CropFlip => preprocessing.frame(augment::shifted(picture, &mut rng), resizer)?,
                Augment::ResizedCrop => {
                    augment::part(picture, &mut rng).resize(preprocessing.size, preprocessing.size, resizer)?
                }
            };
            let flip = augment != Augment::None && augment::coin(&mut rng);
            preprocessing.normalise(&framed, flip, out);
            Ok(())
        })
    }
}
