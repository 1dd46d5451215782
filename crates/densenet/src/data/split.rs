//! Labelled pictures, and how a batch of them becomes a network's input.

mod classes;
mod joined;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fast_image_resize::Resizer;
use rayon::prelude::*;

use super::augment::{self, Augmentation};
use super::part::Part;
use super::targets::Targets;
use super::turned::Turned;
use super::unreadable::Unreadable;
use super::{MAX_PIXELS, Picture, Preprocessing};
use crate::{Error, Result};

/// Labelled pictures of one part of a data set: at least one, every label within the classes.
#[derive(Clone, Debug)]
pub struct Split {
    pictures: Arc<Pictures>,
    /// The pictures of this part, in its order, as indices.
    places: Vec<usize>,
    targets: Targets,
    /// The group of each picture; empty if there are no groups.
    groups: Vec<usize>,
    classes: Vec<String>,
    part: Part,
    max_pixels: usize,
    turned: Turned,
}

#[derive(Debug)]
enum Pictures {
    /// Decoded, all with the same shape: `[count, height, width, channels]`.
    Memory { height: usize, width: usize, channels: usize, pixels: Vec<u8> },
    /// Read when needed, so that a folder of any size takes no memory.
    Files(Vec<PathBuf>),
}

impl Split {
    /// Pictures in memory: `pixels` is `[count, height, width, channels]`, row-major, `shape` is `[height, width,
    /// channels]`. Errors name `path`.
    ///
    /// # Errors
    /// No pictures, numbers of labels and pictures that differ, or a label that is not below the number of classes.
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
            let reason = format!("{} bytes do not make whole {height}x{width}x{channels} pictures", pixels.len());
            return Err(Error::format(path, reason));
        }
        let count = pixels.len() / bytes;
        let pictures = Pictures::Memory { height, width, channels, pixels };
        Self::checked(path, pictures, count, Targets::Classes(labels), classes)
    }

    /// Pictures in files, each decoded when needed. Errors name `path`.
    ///
    /// # Errors
    /// Those of [`Split::in_memory`].
    pub fn of_files(path: &Path, files: Vec<PathBuf>, labels: Vec<usize>, classes: Vec<String>) -> Result<Self> {
        Self::of_targets(path, files, Targets::Classes(labels), classes)
    }

    /// Like [`Split::of_files`], where `targets` may give each picture any number of labels. Errors name `path`.
    ///
    /// # Errors
    /// Those of [`Split::in_memory`], or labels that are not `(N, names)`.
    pub fn of_targets(path: &Path, files: Vec<PathBuf>, targets: Targets, names: Vec<String>) -> Result<Self> {
        let count = files.len();
        Self::checked(path, Pictures::Files(files), count, targets, names)
    }

    fn checked(path: &Path, pictures: Pictures, count: usize, targets: Targets, classes: Vec<String>) -> Result<Self> {
        targets.check(count, classes.len()).map_err(|reason| Error::format(path, reason))?;
        let (pictures, places, groups) = (Arc::new(pictures), (0..count).collect(), Vec::new());
        let (part, max_pixels, turned) = (Part::Test, MAX_PIXELS, Turned::default());
        Ok(Self { pictures, places, targets, groups, classes, part, max_pixels, turned })
    }

    /// The same with a group for each picture, e.g. a patient or a burst: [`DataSet::divide`](super::DataSet::divide)
    /// never splits a group.
    ///
    /// # Panics
    /// If the number of groups is neither 0 nor the number of pictures.
    pub fn grouped(self, groups: Vec<usize>) -> Self {
        assert!(groups.is_empty() || groups.len() == self.len(), "a group for each picture");
        Self { groups, ..self }
    }

    /// The same with another part than [`Part::Test`].
    pub fn as_part(self, part: Part) -> Self {
        Self { part, ..self }
    }

    /// The same with another limit on a file's pixels than [`MAX_PIXELS`]; see [`Picture::open_within`].
    pub fn within(self, max_pixels: usize) -> Self {
        Self { max_pixels, ..self }
    }

    /// The same pictures with labels that are indices into `classes`, matched by name; the error is the name of a class
    /// that is not among them.
    pub fn relabelled(self, classes: &[String]) -> Result<Self, String> {
        let index = |name: &String| classes.iter().position(|class| class == name).ok_or_else(|| name.clone());
        let indices = self.classes.iter().map(index).collect::<Result<Vec<usize>, String>>()?;
        let targets = match self.targets {
            Targets::Classes(labels) => Targets::Classes(labels.iter().map(|&label| indices[label]).collect()),
            Targets::Labels(labels) => Targets::Labels(rearranged(&labels, &indices, classes.len())),
        };
        Ok(Self { targets, classes: classes.to_vec(), ..self })
    }

    /// The pictures `indices` only, in that order; they share their memory with these.
    ///
    /// # Panics
    /// If an index is not below [`len`](Self::len).
    pub fn select(&self, indices: &[usize]) -> Self {
        let places = indices.iter().map(|&i| self.places[i]).collect();
        let targets = self.targets.select(indices, self.classes.len());
        let groups =
            if self.groups.is_empty() { Vec::new() } else { indices.iter().map(|&i| self.groups[i]).collect() };
        Self { places, targets, groups, turned: Turned::default(), ..self.clone() }
    }

    /// Which part of its data set it is.
    pub fn part(&self) -> Part {
        self.part
    }

    /// The first class without a picture, if there is one.
    pub fn empty_class(&self) -> Option<&str> {
        let mut seen = vec![false; self.classes.len()];
        self.labels().iter().for_each(|&label| seen[label] = true);
        seen.iter().position(|seen| !seen).map(|class| self.classes[class].as_str())
    }

    /// Number of pictures, at least 1.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// What each picture shows.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The class of each picture, an index into [`classes`](Self::classes); empty if pictures have any number of
    /// labels.
    pub fn labels(&self) -> &[usize] {
        match &self.targets {
            Targets::Classes(labels) => labels,
            Targets::Labels(_) => &[],
        }
    }

    /// The group of each picture; empty if there are no groups.
    pub fn groups(&self) -> &[usize] {
        &self.groups
    }

    /// The class names.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The file of picture `index`; `None` for a set in memory.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    pub fn path(&self, index: usize) -> Option<&Path> {
        match &*self.pictures {
            Pictures::Memory { .. } => None,
            Pictures::Files(files) => Some(&files[self.places[index]]),
        }
    }

    /// The index of picture `index` in its file, for a set in memory.
    pub(super) fn place(&self, index: usize) -> usize {
        self.places[index]
    }

    /// How many of the pictures read so far are not stored upright, according to EXIF.
    pub fn turned(&self) -> usize {
        self.turned.count()
    }

    /// Picture `index` as it is stored.
    ///
    /// # Errors
    /// A file that cannot be read as a picture.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    pub fn picture(&self, index: usize) -> Result<Picture<'_>> {
        let place = self.places[index];
        match &*self.pictures {
            &Pictures::Memory { height, width, channels, ref pixels } => {
                let bytes = height * width * channels;
                Picture::new(height, width, channels, &pixels[place * bytes..][..bytes])
            }
            Pictures::Files(files) => {
                let file = &files[place];
                // Opening a pipe blocks until another process writes to it.
                if !file.metadata().map_err(Error::io(file))?.is_file() {
                    return Err(Error::format(file, "not a file, but a folder, a pipe or a device"));
                }
                let picture = Picture::open_within(file, self.max_pixels)?;
                self.turned.hear(place, picture.orientation());
                Ok(picture)
            }
        }
    }

    /// Writes the pictures `indices` into `out`, `[N, C, H, W]` row-major with `C`, `H` and `W` from `preprocessing`,
    /// in parallel. All random changes depend only on `seed` and each picture's index: give every epoch its own seed.
    /// Pictures are not [mixed](Augmentation::mix).
    ///
    /// # Errors
    /// A preprocessing or an augmentation that is not valid, or a picture that cannot be read or is too long and thin
    /// to resize.
    ///
    /// # Panics
    /// If an index is not below [`len`](Self::len), or `out` does not have `N * C * H * W` elements.
    pub fn fill(
        &self,
        indices: &[usize],
        preprocessing: &Preprocessing,
        augmentation: impl Into<Augmentation>,
        seed: u64,
        out: &mut [f32],
    ) -> Result<()> {
        self.fill_each(indices, preprocessing, &augmentation.into(), seed, out)?
            .into_iter()
            .try_for_each(|filled| filled)
    }

    /// Like [`Split::fill`], with a result for each picture; the elements of a picture that cannot be read are
    /// unspecified.
    pub(crate) fn fill_each(
        &self,
        indices: &[usize],
        preprocessing: &Preprocessing,
        augmentation: &Augmentation,
        seed: u64,
        out: &mut [f32],
    ) -> Result<Vec<Result<()>>> {
        preprocessing.validate()?;
        augmentation.validate()?;
        let elements = preprocessing.elements();
        assert_eq!(out.len(), indices.len() * elements, "elements of the batch");
        let places = out.par_chunks_exact_mut(elements).zip(indices);
        let filled = places.map_init(Resizer::new, |resizer, (out, &index)| {
            let mut rng = augment::draws(seed, index as u64);
            augmentation.fill(self.picture(index)?, preprocessing, &mut rng, resizer, out)
        });
        Ok(filled.collect())
    }

    /// Picture `index`, which cannot be read because of `error`.
    pub(crate) fn unreadable(&self, index: usize, error: &Error) -> Unreadable {
        let name = self.path(index).map_or_else(|| format!("picture {index}"), |path| path.display().to_string());
        Unreadable::new(name, error)
    }
}

/// Labels `(N, indices)` as `(N, names)`, where label `i` becomes `indices[i]`; the other labels are not known.
fn rearranged(labels: &[Option<bool>], indices: &[usize], names: usize) -> Vec<Option<bool>> {
    let mut all = vec![None; labels.len() / indices.len() * names];
    for (row, labels) in all.chunks_exact_mut(names).zip(labels.chunks_exact(indices.len())) {
        indices.iter().zip(labels).for_each(|(&index, &label)| row[index] = label);
    }
    all
}
