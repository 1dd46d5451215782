//! A folder to work in, and the program run there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A folder to work in, which is removed with its content in the end.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes a file, and the folders that it is to be in.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
    }

    /// The program in this folder, with words parted by blanks.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_densenet"));
        command.args(words.split_whitespace()).current_dir(self.0.path());
        command.env_remove("DENSENET_DATA").env("HOME", self.0.path()).env("XDG_CACHE_HOME", self.path("cache"));
        command
    }

    /// Exit code, stdout and stderr.
    pub fn run(&self, words: &str) -> (Option<i32>, String, String) {
        told(self.command(words).output().unwrap())
    }

    /// Stdout and stderr of words that must exit with `code`.
    pub fn exits(&self, code: i32, words: &str) -> (String, String) {
        let (found, out, err) = self.run(words);
        assert_eq!(found, Some(code), "densenet {words}: {err}");
        assert!(!err.contains("panicked"), "densenet {words}: {err}");
        (out, err)
    }

    /// Stdout of words that must succeed.
    pub fn done(&self, words: &str) -> String {
        self.exits(0, words).0
    }

    /// The object that words print which must succeed.
    pub fn object(&self, words: &str) -> Value {
        serde_json::from_str(&self.done(words)).unwrap()
    }

    /// Checks that `words` fail with `code`, say each of `parts` on stderr and nothing on stdout.
    pub fn fails(&self, words: &str, code: i32, parts: &[&str]) {
        let (out, err) = self.exits(code, words);
        assert_eq!(out, "", "densenet {words}: {err}");
        for part in parts {
            assert!(err.contains(part), "densenet {words}: {part:?} is not in {err}");
        }
        let reasons: Vec<&str> = err.trim_end().split(": ").collect();
        assert!(reasons.windows(2).all(|pair| pair[0] != pair[1]), "densenet {words} says it twice: {err}");
    }
}

pub fn told(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A golden of the library's tests.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../densenet/tests/goldens").join(name)
}

/// Makes a folder with something in it a [`Folder`] wherever one is wanted.
macro_rules! works_in_its_folder {
    ($world:ident) => {
        impl std::ops::Deref for $world {
            type Target = $crate::folder::Folder;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }
    };
}
