//! Who owns a run's folder: one process at a time writes there, and a new run begins where there is none.

use std::fs::{self, DirEntry, File, TryLockError};
use std::path::Path;

use anyhow::{Context, Result, bail};
use densenet::Error;
use densenet::training::RESUME;

/// What the folder of a seed's run is called before its number.
pub const OF_SEED: &str = "seed-";

/// A folder that no other run writes into while this lives: a lock on the folder itself, which the operating system
/// drops with the process. On a file system without locks, nobody is kept away.
pub struct Claim {
    _folder: Option<File>,
}

impl Claim {
    /// The claim to the folder of a new run, which is created if need be, or of several.
    ///
    /// # Errors
    /// A folder that cannot be made, that another run writes into, or that already holds a run.
    pub fn of_new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let claim = Self::of(folder)?;
        if holds_runs(folder) {
            let reason = "holds a training run already; resume it or choose another folder";
            return Err(Error::format(folder, reason).into());
        }
        Ok(claim)
    }

    /// The claim to a folder, whatever it holds.
    ///
    /// # Errors
    /// A folder that another run writes into.
    pub fn of(folder: &Path) -> Result<Self> {
        let opened = File::open(folder).ok();
        if let Some(Err(TryLockError::WouldBlock)) = opened.as_ref().map(File::try_lock) {
            bail!("{}: another run is writing here; wait until it ends, or choose another folder", folder.display());
        }
        Ok(Self { _folder: opened })
    }
}

/// Whether a run was begun in `folder`, or one of several seeds.
fn holds_runs(folder: &Path) -> bool {
    let is_run = |folder: &Path| folder.join(RESUME).exists();
    let of_seed =
        |entry: DirEntry| entry.file_name().as_encoded_bytes().starts_with(OF_SEED.as_bytes()) && is_run(&entry.path());
    is_run(folder) || fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(of_seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_runs_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let claim = Claim::of_new(folder.path()).unwrap();
        for again in [Claim::of(folder.path()), Claim::of_new(folder.path())] {
            assert!(again.err().unwrap().to_string().contains("another run is writing here; wait until it ends"));
        }
        drop(claim);
        Claim::of(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left of it");
    }

    #[test]
    fn a_new_run_begins_where_there_is_none() {
        for state in [RESUME.to_string(), format!("{OF_SEED}3/{RESUME}")] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(state);
            // What is left of a start that could not write its state is not a run.
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path.with_file_name("recipe.toml"), "").unwrap();
            Claim::of_new(folder.path()).unwrap();
            fs::write(&path, "").unwrap();
            let again = Claim::of_new(folder.path());
            assert!(again.err().unwrap().to_string().contains("holds a training run already"));
            Claim::of(folder.path()).unwrap();
        }
    }
}
