//! Files of maps: `.npy` of float32, `H` by `W`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use densenet::files::write_whole;
use ndarray::Array2;
use sha2::{Digest, Sha256};

use crate::npy::npy;

/// A folder that maps are written to.
pub struct MapFolder(PathBuf);

impl MapFolder {
    /// The folder `path`, which is created if it does not exist.
    pub fn create(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| path.display().to_string())?;
        Ok(Self(path.into()))
    }

    /// Writes the `map` of an `input` by a `method`, and returns its path.
    pub fn write(&self, input: &str, method: &str, map: &Array2<f32>) -> Result<PathBuf> {
        let path = self.0.join(file_name(input, method));
        let bytes = npy(map)?;
        write_whole(&path, |file| file.write_all(&bytes))?;
        Ok(path)
    }
}

/// A name that no other input has, whatever folders they are in: it ends with a hash of the whole path.
fn file_name(input: &str, method: &str) -> String {
    let plain = |letter: char| if letter.is_alphanumeric() || "._-".contains(letter) { letter } else { '_' };
    let name = Path::new(input).file_name().map_or(input.into(), |name| name.to_string_lossy());
    // If a name is as long as file systems allow, room is left for what is added.
    let name: String = name.chars().take(50).map(plain).collect();
    let hash: String = Sha256::digest(input).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{name}.{hash}.{method}.npy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let map = Array2::from_shape_fn((2, 3), |(y, x)| y as f32 - 0.5 * x as f32);
        let path = MapFolder::create(&folder.path().join("a/b")).unwrap().write("c/d e.png", "cam", &map).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("d_e.png.") && name.ends_with(".cam.npy"), "{name}");
        let bytes = fs::read(&path).unwrap();
        let npy = npyz::NpyFile::new(&bytes[..]).unwrap();
        assert_eq!(
            (npy.shape().to_vec(), npy.into_vec::<f32>().unwrap()),
            (vec![2, 3], map.into_raw_vec_and_offset().0)
        );
    }

    #[test]
    fn inputs_of_one_name_have_files_of_their_own() {
        let names = ["a/x.png", "b/x.png", "x.png", "x.npy[1]", "x.npy[11]", "/"].map(|input| file_name(input, "cam"));
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
        assert!(names.iter().all(|name| !name.contains('/')), "{names:?}");
        assert!(file_name(&"é".repeat(255), "cam").len() < 200);
    }
}
