//! Sets of pictures that tables tell of: every form, what divides them, and what is wrong with a table.

mod chest;
mod dividing;
mod forms;
#[path = "../common/peers.rs"]
mod peers;
mod wrong;

use std::fs;
use std::path::{Path, PathBuf};

use densenet::data::{DataSet, Split, TableOptions, Targets};
use tempfile::TempDir;

/// A folder of tables and pictures.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// With a file for each of the names; nothing here looks into a picture.
    fn of(pictures: &[&str]) -> Self {
        let folder = Self::new();
        pictures.iter().for_each(|name| folder.write(name, ""));
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
    }

    fn read(&self, name: &str) -> DataSet {
        self.read_with(name, &TableOptions::default())
    }

    fn read_with(&self, name: &str, options: &TableOptions) -> DataSet {
        DataSet::read_with(&self.path(name), options).unwrap()
    }

    /// The error of reading `name`, without the folder's path.
    fn refusal(&self, name: &str, options: &TableOptions) -> String {
        let error = DataSet::read_with(&self.path(name), options).unwrap_err().to_string();
        error
            .replace(&format!("{}/", self.0.path().display()), "")
            .replace(&self.0.path().display().to_string(), "FOLDER")
    }

    /// The pictures of a part by their paths within the folder.
    fn names(&self, split: &Split) -> Vec<String> {
        let inside = |i| split.path(i).unwrap().strip_prefix(self.0.path()).unwrap();
        (0..split.len()).map(|i| Path::to_str(inside(i)).unwrap().to_owned()).collect()
    }
}

/// All pictures of an undivided set, in the order of their paths.
fn whole(set: DataSet) -> Split {
    set.into_part(None).unwrap()
}

/// Labels as text, a row each: 1, 0, and ? for what is not known.
fn labels(split: &Split) -> Vec<String> {
    let Targets::Labels(labels) = split.targets() else { panic!("classes") };
    let text = |label: &Option<bool>| label.map_or('?', |has| if has { '1' } else { '0' });
    labels.chunks(split.classes().len()).map(|row| row.iter().map(text).collect()).collect()
}
