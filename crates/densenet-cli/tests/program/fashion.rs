//! A folder with a data set, and files as others write them.

use std::fs;
use std::path::PathBuf;

use crate::folder::Folder;

/// A folder with a data set of 40 training and 20 test pictures of 28x28, laid out as Fashion-MNIST.
pub struct World(Folder);

works_in_its_folder!(World);

impl World {
    pub fn new() -> Self {
        let world = Self(Folder::new());
        fs::create_dir(world.path("fashion-mnist")).unwrap();
        world.write_set("train", 40);
        world.write_set("t10k", 20);
        world
    }

    pub fn write_set(&self, part: &str, count: u8) {
        let labels: Vec<u8> = (0..count).map(|i| i % 10).collect();
        let pixel = |i: usize| labels[i / 784] * 25 + (i * 7919 % 19) as u8;
        let pixels: Vec<u8> = (0..784 * labels.len()).map(pixel).collect();
        let [images, names] = self.idx(part);
        fs::write(images, [&idx_header(2051, &[count.into(), 28, 28]), &*pixels].concat()).unwrap();
        fs::write(names, [&idx_header(2049, &[count.into()]), &*labels].concat()).unwrap();
    }

    /// The folder, for something else to run in.
    pub fn into_folder(self) -> Folder {
        self.0
    }

    /// Pictures and labels of a part.
    pub fn idx(&self, part: &str) -> [PathBuf; 2] {
        ["images-idx3", "labels-idx1"].map(|kind| self.path("fashion-mnist").join(format!("{part}-{kind}-ubyte")))
    }
}

/// The test part chooses, so that all 40 pictures are trained on.
pub const TRAIN: &str =
    "train --model densenet-bc-40-12 --data ./fashion-mnist --size 8 --batch 8 --threads 1 --val-fraction 0";

pub fn idx_header(magic: u32, extents: &[u32]) -> Vec<u8> {
    [&[magic], extents].concat().iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A grey BMP of `width` by `height`, whose header may announce more than is there.
pub fn bmp(width: i32, height: i32, grey: u8) -> Vec<u8> {
    let rows =
        if width < 1000 { vec![grey; (3 * width as usize).next_multiple_of(4) * height as usize] } else { vec![] };
    let mut file = b"BM".to_vec();
    file.extend([54 + rows.len() as u32, 0, 54, 40].iter().flat_map(|word| word.to_le_bytes()));
    file.extend([width, height].iter().flat_map(|word| word.to_le_bytes()));
    file.extend([1u16, 24].iter().flat_map(|word| word.to_le_bytes()));
    file.extend([0u8; 24]);
    file.extend(rows);
    file
}

/// A .npy of zeros of float32.
pub fn npy(shape: &str, elements: usize) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    let header = format!("{header:<117}\n");
    [b"\x93NUMPY\x01\x00", &118u16.to_le_bytes()[..], header.as_bytes(), &vec![0; 4 * elements]].concat()
}
