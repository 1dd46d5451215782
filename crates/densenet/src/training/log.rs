//! `log.jsonl`: a line per step and a line per epoch.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::progress::Progress;
use crate::files::write_whole;
use crate::{Error, Result};

/// The log of a run, open at its end.
pub(super) struct Log {
    path: PathBuf,
    file: File,
}

/// A line's position in the run; only lines for steps have the first field.
#[derive(Deserialize)]
struct Place {
    step: Option<u64>,
    epoch: usize,
}

impl Place {
    fn precedes(&self, progress: &Progress) -> bool {
        match self.step {
            Some(step) => step <= progress.step,
            None => self.epoch <= progress.epoch,
        }
    }
}

impl Log {
    /// Opens the log at `path` at the point of `progress`: later lines, and a line cut off by a kill, are removed,
    /// since the run will write them again.
    pub fn open(path: PathBuf, progress: &Progress) -> Result<Self> {
        let kept = match File::open(&path) {
            Ok(file) => kept_lines(&path, file, progress)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::io(path)(error)),
        };
        write_whole(&path, |file| kept.iter().try_for_each(|line| writeln!(file, "{line}")))?;
        let file = OpenOptions::new().append(true).open(&path).map_err(Error::io(&path))?;
        Ok(Self { path, file })
    }

    /// Adds a line.
    pub fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let line = format!("{}\n", json!(line));
        self.file.write_all(line.as_bytes()).map_err(Error::io(&self.path))
    }
}

fn kept_lines(path: &Path, file: File, progress: &Progress) -> Result<Vec<String>> {
    let mut kept = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(Error::io(path))?;
        if serde_json::from_str::<Place>(&line).is_ok_and(|place| place.precedes(progress)) {
            kept.push(line);
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_later_and_cut_lines_are_taken_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let lines =
            ["{\"step\":1,\"epoch\":1}", "{\"epoch\":1}", "{\"step\":2,\"epoch\":2}", "{\"step\":3,\"epoch\":2}"];
        std::fs::write(&path, format!("{}\n{{\"step\":4,\"ep", lines.join("\n"))).unwrap();
        let progress = Progress { epoch: 1, step: 2, ..Progress::default() };
        Log::open(path.clone(), &progress).unwrap().write(&json!({ "step": 3 })).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n{{\"step\":3}}\n", lines[..3].join("\n")));
    }
}
