//! Where a named data set is looked for.

use std::path::{Path, PathBuf};

use super::download::{self, Progress};
use super::known::{KNOWN, Known};
use super::set::DataSet;
use super::table::TableOptions;
use crate::{Error, Result};

/// Opens a data set: `fashion-mnist`, `mnist`, `cifar10` or `cifar100`, or the path of a folder or of a table, which is
/// read according to `options`.
///
/// A named data set is looked for as a folder of that name in `data_dir`, in the folder named by the environment
/// variable `DENSENET_DATA`, in the user's cache folder (`~/.cache/densenet` on Linux), and finally where a
/// distribution's package puts it. If it is in none of them, it is downloaded from its official address, with its
/// SHA-256 checked, into the first of these places; `progress` is called for each chunk.
///
/// # Errors
/// Those of [`DataSet::read_with`]; a name that is neither known nor a folder or file; a failed download, with the
/// places that were searched and what else would help.
pub fn open(
    name: &str,
    data_dir: Option<&Path>,
    options: &TableOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<DataSet> {
    let Some(known) = Known::named(name) else {
        if Path::new(name).exists() {
            return DataSet::read_with(Path::new(name), options);
        }
        let names = KNOWN.each_ref().map(|known| known.name).join(", ");
        let what = "give a folder of classes, IDX files or CIFAR binaries, or a table of pictures (.csv)";
        let reason = format!("neither a folder or file nor one of {names}; {what}");
        return Err(Error::DataSet { name: name.into(), reason });
    };
    if *options != TableOptions::default() {
        let reason = "it is not a table, so it has no columns to choose and no groups to keep together".into();
        return Err(Error::DataSet { name: name.into(), reason });
    }
    let environment = std::env::var_os("DENSENET_DATA").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let cache = directories::ProjectDirs::from("", "", "densenet").map(|dirs| dirs.cache_dir().to_path_buf());
    let homes: Vec<PathBuf> = data_dir.map(PathBuf::from).into_iter().chain(environment).chain(cache).collect();
    find(known, known.address, &homes, progress)
}

/// Opens `known` from the first of `homes` or the package's folder that has it, or downloads it from `address` into the
/// first of `homes`.
fn find(known: &Known, address: &str, homes: &[PathBuf], progress: &mut dyn FnMut(Progress<'_>)) -> Result<DataSet> {
    let package = known.package.as_ref().map(|package| PathBuf::from(package.folder));
    let places: Vec<PathBuf> = homes.iter().map(|home| home.join(known.name)).chain(package).collect();
    if let Some(folder) = places.iter().find(|folder| folder.is_dir()) {
        return DataSet::of_known(known, folder);
    }
    let fetched = match places.first() {
        Some(place) if !homes.is_empty() => download::fetch(known, address, place, progress).map(|()| place),
        _ => Err("there is no folder to download it into; name one with --data-dir or DENSENET_DATA".into()),
    };
    match fetched {
        Ok(folder) => DataSet::of_known(known, folder),
        Err(reason) => Err(Error::DataSet { name: known.name.into(), reason: advice(known, &places, &reason) }),
    }
}

/// The message with what went wrong, where the set was looked for, and what else would help.
fn advice(known: &Known, places: &[PathBuf], reason: &str) -> String {
    let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    let package = known.package.as_ref().map_or(String::new(), |package| {
        format!(", or install the package {} (apt-get install {0} on Debian or Ubuntu)", package.name)
    });
    format!("{reason}; it is not in any of {}; put its files into one of them{package}", places.join(", "))
}

#[cfg(test)]
mod tests;
