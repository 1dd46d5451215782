//! Features in pyarrow, and their map beside that of scikit-learn.

use std::fs;

use densenet_kernels::random::Stream;

use crate::{densenet, npy, npy_of, peers, python_with};

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

#[test]
fn a_map_keeps_neighbours_together_as_scikit_learns_does() {
    let Some(python) = python_with("scikit-learn", "sklearn.manifold") else { return };
    let world = tempfile::tempdir().unwrap();
    let folder = world.path();
    // Eight kinds of stripes, fifteen pictures of each.
    let shape = [120, 3, 32, 32];
    let noise = Stream::new(7, 0);
    let pixel = |at: usize| {
        let (picture, x) = (at / (3 * 32 * 32), at % 32);
        ((1 + picture / 15) as f32 * x as f32 / 5.0).sin() + 0.5 * noise.normal(at as u64) as f32
    };
    fs::write(folder.join("x.npy"), npy_of(shape, (0..shape.iter().product()).map(pixel))).unwrap();
    densenet(folder, "features --weights cifar10 x.npy --out f.npy --page map.html --map tsne");
    print!("{}", peers::printed(&python, "tests/peers/tsne.py", &[folder]));
}
