//! Files that are complete or absent: written next to their destination, synced, then renamed into place.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// Writes `path` through `content`. A failure or a kill at any moment leaves the previous content in place.
///
/// # Errors
/// Whatever the file system or `content` reports, e.g. a full disk.
pub fn write_whole(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<NamedTempFile>) -> std::io::Result<()>,
) -> Result<()> {
    let mut file = WholeFile::create(path)?;
    content(&mut file.writer).map_err(Error::io(path))?;
    file.finish()
}

/// A file that is written over time, and appears in its place only when finished.
pub struct WholeFile {
    path: PathBuf,
    writer: BufWriter<NamedTempFile>,
}

impl WholeFile {
    /// Begins a new `path`. Its previous content stays until the new file is finished.
    ///
    /// # Errors
    /// Whatever the file system reports, e.g. a missing folder.
    pub fn create(path: &Path) -> Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        // A temporary file is private by default; the finished one gets the permissions of the user's umask.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let temporary = builder.prefix(".densenet-").tempfile_in(folder).map_err(Error::io(path))?;
        Ok(Self { path: path.into(), writer: BufWriter::new(temporary) })
    }

    /// Appends to the file.
    ///
    /// # Errors
    /// Whatever the file system reports, e.g. a full disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(Error::io(&self.path))
    }

    /// Syncs the file and renames it into place.
    ///
    /// # Errors
    /// Whatever the file system reports, e.g. a full disk.
    pub fn finish(self) -> Result<()> {
        let temporary = self.writer.into_inner().map_err(|error| Error::io(&self.path)(error.into_error()))?;
        temporary.as_file().sync_all().map_err(Error::io(&self.path))?;
        temporary.persist(&self.path).map_err(|error| Error::io(&self.path)(error.error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_whole(&path, |file| file.write_all(b"old")).unwrap();
        let failure = write_whole(&path, |file| {
            file.write_all(b"new")?;
            Err(std::io::Error::other("no room"))
        });
        assert!(failure.unwrap_err().to_string().contains("no room"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    }
}
