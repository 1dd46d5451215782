//! A data set: its parts and its preprocessing, read from a folder or a table of any known layout.

use std::path::{Path, PathBuf};

use super::known::{Known, Layout};
use super::part::Part;
use super::parts::Parts;
use super::table::{self, TableOptions};
use super::{Preprocessing, Split, cifar, divide, folder, idx};
use crate::{Error, Result};

/// A data set, ready to train on.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// Its name (`fashion-mnist`), or its folder's path.
    pub name: String,
    /// The training part.
    pub train: Split,
    /// The part for choosing the best epoch, if there is also a test part; it has the same classes.
    pub validation: Option<Split>,
    /// The held-out part, with the same classes: test, or validation where there is no test part.
    pub test: Split,
    /// Its native size and its own mean and standard deviation; ImageNet's for folders of pictures.
    pub preprocessing: Preprocessing,
    /// Notes on what was found but not used, one sentence each.
    pub notes: Vec<String>,
    /// The pictures that a table lists but that are missing; they are nevertheless included in the parts.
    pub missing: Vec<PathBuf>,
    /// The folder that holds its pictures.
    pub(super) root: PathBuf,
    /// How many folders below `root` a class folder is; `None` where the folders are not the classes.
    pub(super) class_depth: Option<usize>,
    /// Whether it holds nothing out, so that its parts were made here.
    pub(super) undivided: bool,
}

impl DataSet {
    /// Reads a folder of IDX files, of CIFAR binaries, or of classes (`train/CLASS/*.jpg`), depending on its content.
    ///
    /// IDX files take the class names from the folder's name if it is `fashion-mnist` or `mnist`; otherwise classes are
    /// called by their numbers, and mean and standard deviation are computed from the training pictures. A folder of
    /// pictures may have the parts `train`, `validation` (or `val`, `valid`) and `test`; if nothing is held out, a
    /// tenth of every class is, the same on any machine.
    ///
    /// A CSV file, or a folder with `train.csv`, `metadata.csv` or ChestX-ray14's table, is read as a table of
    /// pictures; see [`DataSet::read_with`].
    ///
    /// # Errors
    /// A folder with no such layout; a file that is truncated, empty, has a wrong magic number, disagreeing counts or
    /// labels out of range; and those of [`DataSet::read_with`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_with(path.as_ref(), &TableOptions::default())
    }

    /// Like [`DataSet::read`], where `options` say how a table is read: a file in CSV or JSON Lines with the columns
    /// `path` and `label`, or `path` and several columns of 0 and 1, or those of CheXpert or ChestX-ray14. A column
    /// `split` gives the parts.
    ///
    /// # Errors
    /// Options for data that are not a table; a table whose columns are ambiguous; a row without a label or with an
    /// invalid one, with a path outside the folder, or with another row's picture; a group in two parts; a table none
    /// of whose pictures exists.
    pub fn read_with(path: &Path, options: &TableOptions) -> Result<Self> {
        if path.is_file() && table::is_table(path) {
            let folder = path.parent().unwrap_or(Path::new(""));
            return Self::of_files(path, table::parts(&table::of_file(path), folder, options)?);
        }
        if !path.is_dir() {
            let reason = "neither a folder nor a table (.csv, .csv.gz, .jsonl); a data set is a table, or a folder of \
                          classes, IDX files or CIFAR binaries";
            return Err(Error::format(path, reason));
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match layout(path) {
            Some(_) if *options != TableOptions::default() => Err(no_table(path)),
            Some(Layout::Idx) => match Known::named(&name).filter(|known| known.layout == Layout::Idx) {
                Some(known) => Self::of_known(known, path),
                None => Self::of_idx(path),
            },
            Some(layout) => Self::of_known(Known::of_layout(layout), path),
            None => Self::of_files(path, in_folder(path, options)?),
        }
    }

    /// Reads the known data set from the folder that holds its files.
    pub(super) fn of_known(known: &Known, path: &Path) -> Result<Self> {
        let classes: Vec<String> = known.classes.iter().map(|&class| class.into()).collect();
        let (train, test) = match known.layout {
            Layout::Idx => (idx::split(path, "train", Some(&classes))?, idx::split(path, "t10k", Some(&classes))?),
            Layout::Cifar10 | Layout::Cifar100 => {
                let label_bytes = if known.layout == Layout::Cifar10 { 1 } else { 2 };
                let [train, test] = cifar::files(known.layout);
                (cifar::split(path, train, label_bytes, &classes)?, cifar::split(path, test, label_bytes, &classes)?)
            }
        };
        Ok(Self::of_two(known.name.into(), path, train, test, known.preprocessing()))
    }

    fn of_idx(path: &Path) -> Result<Self> {
        let train = idx::split(path, "train", None)?;
        let test = idx::split(path, "t10k", Some(train.classes()))?;
        let preprocessing = idx::preprocessing(&train)?;
        Ok(Self::of_two(path.display().to_string(), path, train, test, preprocessing))
    }

    fn of_two(name: String, path: &Path, train: Split, test: Split, preprocessing: Preprocessing) -> Self {
        let (train, root) = (train.as_part(Part::Train), path.into());
        let (notes, missing, class_depth, undivided) = (Vec::new(), Vec::new(), None, false);
        Self { name, train, validation: None, test, preprocessing, notes, missing, root, class_depth, undivided }
    }

    fn of_files(path: &Path, parts: Parts) -> Result<Self> {
        let (name, preprocessing) = (path.display().to_string(), Preprocessing::named("imagenet")?);
        let Parts { train, validation, test, root, class_depth, undivided, missing, notes } = parts;
        Ok(Self { name, train, validation, test, preprocessing, notes, missing, root, class_depth, undivided })
    }

    /// The same with another limit on the pixels of a picture file; see [`Split::within`].
    pub fn within(self, max_pixels: usize) -> Self {
        let validation = self.validation.map(|validation| validation.within(max_pixels));
        Self { train: self.train.within(max_pixels), validation, test: self.test.within(max_pixels), ..self }
    }

    /// The same with a validation part: the held-out part, if it is one, or `fraction` of every class of the training
    /// part, rounded up but never all of it; the same pictures for the same `seed`. Pictures of one group stay
    /// together, and pictures with any number of labels count as one class.
    ///
    /// # Errors
    /// A fraction that is not between 0 and 1, or no class with a picture that could be held out.
    pub fn divide(self, fraction: f64, seed: u64) -> Result<Self> {
        if self.validation.is_some() || self.test.part() == Part::Validation {
            return Ok(self);
        }
        if !(fraction > 0.0 && fraction < 1.0) {
            let reason = format!("the validation part is {fraction} of the training pictures");
            return Err(Error::Settings(format!("{reason}; it must be between 0 and 1")));
        }
        let (kept, held) = divide::at_random(&self.train, fraction, seed);
        if held.is_empty() {
            let too_few = divide::too_few(&self.train, "training pictures");
            let reason = format!("{too_few}; add some, or choose by the test part (--val-fraction 0)");
            return Err(Error::DataSet { name: self.name, reason });
        }
        let validation = Some(self.train.select(&held).as_part(Part::Validation));
        Ok(Self { train: self.train.select(&kept), validation, ..self })
    }

    /// The part for choosing the best epoch.
    pub fn chooses(&self) -> &Split {
        self.validation.as_ref().unwrap_or(&self.test)
    }

    /// Whether nothing in it was held out, so that its parts were made here.
    pub fn is_undivided(&self) -> bool {
        self.undivided
    }

    /// One part. If none is named: all pictures of a folder of classes, or the held-out part of a set that has parts.
    ///
    /// # Errors
    /// A part that the set does not have.
    pub fn into_part(self, part: Option<Part>) -> Result<Split> {
        let Some(part) = part else {
            if !self.undivided {
                return Ok(self.test);
            }
            return Ok(Split::joined(&[&self.train, &self.test]).as_part(self.test.part()));
        };
        let parts: Vec<Split> = [Some(self.train), self.validation, Some(self.test)].into_iter().flatten().collect();
        let names: Vec<String> = parts.iter().map(|split| split.part().to_string()).collect();
        parts.into_iter().find(|split| split.part() == part).ok_or_else(|| {
            let reason = format!("it has no part {part}; it has {}", names.join(" and "));
            Error::DataSet { name: self.name, reason }
        })
    }
}

/// The parts of a folder of pictures, given by tables in it or by class folders.
fn in_folder(folder: &Path, options: &TableOptions) -> Result<Parts> {
    let (sources, no_options) = (table::in_folder(folder), *options == TableOptions::default());
    let Some(first) = sources.first() else {
        return if no_options { folder::parts(folder) } else { Err(no_table(folder)) };
    };
    if no_options
        && !table::is_of_pictures(first)?
        && let Ok(mut parts) = folder::parts(folder)
    {
        parts.notes.push(format!("{} lists no labelled pictures and is skipped", first.path.display()));
        return Ok(parts);
    }
    table::parts(&sources, folder, options)
}

fn no_table(path: &Path) -> Error {
    let reason = "it has no table (.csv, .csv.gz, .jsonl) of pictures, so there are no columns to choose and no groups to keep together";
    Error::format(path, reason)
}

/// The layout of the files in `folder`, if they are not pictures.
pub(super) fn layout(folder: &Path) -> Option<Layout> {
    if ["train-images-idx3", "t10k-images-idx3"].iter().any(|part| idx::find(folder, part).is_some()) {
        return Some(Layout::Idx);
    }
    let holds_any = |layout: &Layout| cifar::files(*layout).concat().iter().any(|name| folder.join(name).is_file());
    [Layout::Cifar10, Layout::Cifar100].into_iter().find(holds_any)
}
