//! Scripts in Python, for what is held to PyTorch and others.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Python of the virtual environment that the variable `DENSENET_PEERS` names, as `bench/` makes one; a test is skipped
/// without it.
pub fn python() -> Option<PathBuf> {
    let python = std::env::var_os("DENSENET_PEERS").map(|peers| Path::new(&peers).join("bin/python"));
    if python.is_none() {
        println!("skipped: DENSENET_PEERS names no Python virtual environment, as bench/ makes one");
    }
    python
}

/// What the `script` of this crate, which must succeed, prints.
pub fn printed<A: AsRef<OsStr>>(python: &Path, script: &str, arguments: &[A]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let output = Command::new(python).arg("-B").arg(&script).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    assert!(output.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
