//! The sources of pictures.

use std::path::{Path, PathBuf};

use densenet::Result;
use densenet::data::Picture;
use ndarray::ArrayView3;
use numpy::PyReadonlyArray3;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

/// A picture, before it is decoded.
pub enum Source<'py> {
    /// A file.
    File(PathBuf),
    /// A file's content, and its name for errors.
    Encoded(PyBackedBytes, String),
    /// `(H, W, C)` pixels.
    Pixels(PyReadonlyArray3<'py, u8>),
}

/// The same, readable without Python's lock.
pub enum Readable<'a> {
    /// A file.
    File(&'a Path),
    /// A file's content, and its name for errors.
    Encoded(&'a [u8], &'a str),
    /// `(H, W, C)` pixels.
    Pixels(ArrayView3<'a, u8>),
}

impl<'py> Source<'py> {
    /// The pictures in a list of paths, bytes and arrays.
    pub fn list(objects: &Bound<'py, PyAny>) -> PyResult<Vec<Self>> {
        objects.try_iter()?.enumerate().map(|(place, object)| Self::of(&object?, place)).collect()
    }

    fn of(object: &Bound<'py, PyAny>, place: usize) -> PyResult<Self> {
        if let Ok(bytes) = object.extract() {
            return Ok(Self::Encoded(bytes, format!("picture {place}")));
        }
        if let Ok(pixels) = object.extract() {
            return Ok(Self::Pixels(pixels));
        }
        object.extract().map(Self::File).map_err(|_| {
            let found = object.get_type();
            PyTypeError::new_err(format!("picture {place} is a {found}; a path, bytes or (H, W, C) uint8 is needed"))
        })
    }

    /// The picture, as long as Python holds it.
    pub fn readable(&self) -> Readable<'_> {
        match self {
            Self::File(path) => Readable::File(path),
            Self::Encoded(bytes, name) => Readable::Encoded(bytes, name),
            Self::Pixels(pixels) => Readable::Pixels(pixels.as_array()),
        }
    }
}

impl<'a> Readable<'a> {
    /// The picture, decoded.
    ///
    /// # Errors
    /// A file that cannot be read or decoded, or invalid pixels.
    pub fn open(&self) -> Result<Picture<'a>> {
        match *self {
            Self::File(path) => Picture::open(path),
            Self::Encoded(bytes, name) => Picture::decode(bytes, Path::new(name)),
            Self::Pixels(pixels) => {
                let (height, width, channels) = pixels.dim();
                match pixels.to_slice() {
                    Some(pixels) => Picture::new(height, width, channels, pixels),
                    None => {
                        let (pixels, _) = pixels.as_standard_layout().into_owned().into_raw_vec_and_offset();
                        Picture::new(height, width, channels, pixels)
                    }
                }
            }
        }
    }
}
