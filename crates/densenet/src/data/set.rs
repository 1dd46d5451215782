//! A data set: its parts and its preprocessing, read from a folder of any known layout.

use std::path::Path;

use super::known::{Known, Layout};
use super::{Preprocessing, Split, cifar, folder, idx};
use crate::{Error, Result};

/// A data set, ready to train on.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// Its name (`fashion-mnist`), or its folder's path.
    pub name: String,
    /// What is trained on.
    pub train: Split,
    /// What is held out; the same classes.
    pub test: Split,
    /// Its native size and its own mean and deviation; ImageNet's for folders of pictures.
    pub preprocessing: Preprocessing,
}

impl DataSet {
    /// Reads a folder of IDX files, of CIFAR binaries, or of classes (`train/CLASS/*.jpg`); what is in it tells which.
    ///
    /// IDX files get the names of the classes from the folder's name, if it is `fashion-mnist` or `mnist`; otherwise
    /// the classes are called by their numbers, and mean and deviation are taken from the training pictures. Of
    /// `test`, `validation`, `val` and `valid` the first that is there is held out; where none is, a tenth of every
    /// class, the same on any machine.
    ///
    /// # Errors
    /// A folder of no such layout, and any file that is not what it should be: truncated, of a wrong magic number, of
    /// counts that disagree, with labels out of range, or empty.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Err(Error::format(
                path,
                "not a folder; a data set is a folder of classes, IDX files or CIFAR binaries",
            ));
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match layout(path) {
            Some(Layout::Idx) => match Known::named(&name).filter(|known| known.layout == Layout::Idx) {
                Some(known) => Self::of_known(known, path),
                None => Self::of_idx(path),
            },
            Some(layout) => Self::of_known(Known::of_layout(layout), path),
            None => Self::of_pictures(path),
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
        Ok(Self { name: known.name.into(), train, test, preprocessing: known.preprocessing() })
    }

    fn of_idx(path: &Path) -> Result<Self> {
        let train = idx::split(path, "train", None)?;
        let test = idx::split(path, "t10k", Some(train.classes()))?;
        let preprocessing = idx::preprocessing(&train)?;
        Ok(Self { name: path.display().to_string(), train, test, preprocessing })
    }

    fn of_pictures(path: &Path) -> Result<Self> {
        let (train, test) = folder::splits(path)?;
        let preprocessing = Preprocessing::named("imagenet")?;
        Ok(Self { name: path.display().to_string(), train, test, preprocessing })
    }
}

/// How the files in `folder` are laid out, if they are not pictures.
pub(super) fn layout(folder: &Path) -> Option<Layout> {
    if ["train-images-idx3", "t10k-images-idx3"].iter().any(|part| idx::find(folder, part).is_some()) {
        return Some(Layout::Idx);
    }
    let holds_any = |layout: &Layout| cifar::files(*layout).concat().iter().any(|name| folder.join(name).is_file());
    [Layout::Cifar10, Layout::Cifar100].into_iter().find(holds_any)
}
