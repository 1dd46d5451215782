//! Downloading a data set from its official address, and putting it into place only when it is complete.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::Path;
#[cfg(feature = "download")]
use std::time::Duration;

use flate2::bufread::GzDecoder;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::cifar;
use super::known::{Known, Layout, Remote};

/// Progress of a file's download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file's name.
    pub file: &'a str,
    /// Bytes downloaded so far.
    pub done: u64,
    /// Bytes in total.
    pub total: u64,
}

/// Why a download failed, to be reported along with what else would help.
type Reason = String;

/// Time limit for connecting to a server, and then for the start of its response.
#[cfg(feature = "download")]
const PATIENCE: Duration = Duration::from_secs(30);

/// Downloads the files of `known` from `address` into the folder `place`, which appears only when all are there.
pub(super) fn fetch(
    known: &Known,
    address: &str,
    place: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), Reason> {
    let home = place.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(home).map_err(|e| format!("{}: {e}", home.display()))?;
    let beside = TempDir::with_prefix_in(format!(".{}-", known.name), home);
    let beside = beside.map_err(|e| format!("{}: {e}", home.display()))?;
    // A folder within the temporary one, since that is readable by this user alone.
    let folder = beside.path().join(known.name);
    fs::create_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for remote in known.files {
        let file = folder.join(remote.name);
        download(&format!("{address}{}", remote.name), remote, &file, progress)?;
        if known.layout != Layout::Idx {
            unpack(&file, &cifar::files(known.layout).concat(), &folder)
                .and_then(|()| fs::remove_file(&file))
                .map_err(|e| format!("{}: {e}", remote.name))?;
        }
    }
    match fs::rename(&folder, place) {
        // Another process was faster; its files were checked in the same way.
        Err(_) if place.is_dir() => Ok(()),
        renamed => renamed.map_err(|e| format!("{}: {e}", place.display())),
    }
}

/// The response of the server at `url`.
#[cfg(feature = "download")]
fn get(url: &str) -> Result<impl Read, Reason> {
    let config = ureq::Agent::config_builder().timeout_connect(Some(PATIENCE)).timeout_recv_response(Some(PATIENCE));
    let response = ureq::Agent::from(config.build()).get(url).call().map_err(|error| error.to_string())?;
    Ok(response.into_body().into_reader())
}

#[cfg(not(feature = "download"))]
fn get(_url: &str) -> Result<std::io::Empty, Reason> {
    Err("this program was built without the feature `download`".into())
}

/// Downloads one file, and checks its size and SHA-256.
fn download(url: &str, remote: &Remote, path: &Path, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), Reason> {
    let failed = |e: &dyn std::fmt::Display| format!("downloading {url} failed: {e}");
    let mut body = get(url).map_err(|reason| failed(&reason))?.take(remote.bytes + 1);
    let mut file = File::create(path).map_err(|e| failed(&e))?;
    let (mut hash, mut done, mut piece) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let count = body.read(&mut piece).map_err(|e| failed(&e))?;
        if count == 0 {
            break;
        }
        hash.update(&piece[..count]);
        file.write_all(&piece[..count]).map_err(|e| failed(&e))?;
        done += count as u64;
        progress(Progress { file: remote.name, done: done.min(remote.bytes), total: remote.bytes });
    }
    if done != remote.bytes {
        let found = if done > remote.bytes { "more".into() } else { format!("only {done}") };
        return Err(failed(&format!("{found} bytes arrived; the file has {}", remote.bytes)));
    }
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found != remote.sha256 {
        return Err(failed(&format!("its SHA-256 is {found}, not {}", remote.sha256)));
    }
    file.sync_all().map_err(|e| failed(&e))
}

/// Unpacks the files with these names, wherever they are in the gzipped tar, into `folder`.
fn unpack(archive: &Path, names: &[&str], folder: &Path) -> std::io::Result<()> {
    let source = GzDecoder::new(BufReader::new(File::open(archive)?));
    for entry in tar::Archive::new(source).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let Some(name) = names.iter().find(|name| path.ends_with(name)) else { continue };
        let mut file = File::create(folder.join(name))?;
        std::io::copy(&mut entry, &mut file)?;
        file.sync_all()?;
    }
    Ok(())
}
