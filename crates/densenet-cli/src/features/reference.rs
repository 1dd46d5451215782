//! The pictures among which neighbours are looked for.

use std::path::Path;

use anyhow::Result;
use densenet::data::{Split, TableOptions};

use super::nearest::Neighbour;
use super::thumbnails;
use crate::data_dir::DataDir;
use crate::pictures;

/// Pictures with their labels, if these are known.
pub struct Reference {
    /// The pictures.
    pub split: Split,
    labelled: bool,
}

impl Reference {
    /// The training part of the data set `name`, or all pictures in and below a folder that itself holds pictures, which
    /// has no classes.
    pub fn open(name: &str, data_dir: &DataDir) -> Result<Self> {
        match pictures::without_classes(Path::new(name), data_dir)? {
            Some(split) => Ok(Self { split, labelled: false }),
            None => Ok(Self { split: data_dir.open(name, &TableOptions::default())?.train, labelled: true }),
        }
    }

    /// The path of a picture, or its place in a data set without files.
    pub fn name(&self, picture: usize) -> String {
        self.split.path(picture).map_or_else(|| format!("picture {picture}"), |path| path.display().to_string())
    }

    /// A picture with that `similarity` to an input, with a thumbnail of it if it is to be `pictured`.
    pub fn neighbour(&self, picture: usize, similarity: f32, pictured: bool) -> Neighbour {
        let small = || thumbnails::encoded(&self.split.picture(picture).ok()?, thumbnails::LARGE);
        Neighbour {
            picture: self.name(picture),
            labels: self.labels(picture),
            similarity,
            thumbnail: if pictured { small() } else { None },
        }
    }

    fn labels(&self, picture: usize) -> Vec<String> {
        let names = self.split.classes();
        let shows = |name: &usize| self.split.targets().shows(picture, *name, names.len()) == Some(true);
        (0..names.len()).filter(|_| self.labelled).filter(shows).map(|name| names[name].clone()).collect()
    }
}
