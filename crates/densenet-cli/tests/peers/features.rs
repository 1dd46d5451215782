//! Features in pyarrow.

use std::fs;

use crate::{densenet, npy, peers, python_with};

#[test]
fn pyarrow_reads_the_table_of_features() {
    let Some(python) = python_with("pyarrow", "pyarrow.parquet") else { return };
    let world = tempfile::tempdir().unwrap();
    let folder = world.path();
    fs::write(folder.join("x.npy"), npy(3, 32, 32)).unwrap();
    for out in ["f.parquet", "f.npy"] {
        densenet(folder, &format!("features --weights cifar10 x.npy --out {out}"));
    }
    print!("{}", peers::printed(&python, "tests/peers/features.py", &[folder]));
}
