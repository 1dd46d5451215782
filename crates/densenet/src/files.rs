//! Files that are whole or not there: written beside their place, synced, then renamed into it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::{Error, Result};

/// Writes `path` through `content`. A failure or a kill at any moment leaves what was there before.
///
/// # Errors
/// Whatever the file system or `content` reports, as a full disk.
pub fn write_whole(path: &Path, content: impl FnOnce(&mut BufWriter<&File>) -> std::io::Result<()>) -> Result<()> {
    write_synced(path, content).map_err(Error::io(path))
}

fn write_synced(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<&File>) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // A temporary file is private by default; the finished one is as open as the user's umask allows.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let temporary = builder.prefix(".densenet-").tempfile_in(folder)?;
    let mut writer = BufWriter::new(temporary.as_file());
    content(&mut writer)?;
    writer.flush()?;
    drop(writer);
    temporary.as_file().sync_all()?;
    temporary.persist(path)?;
    Ok(())
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
