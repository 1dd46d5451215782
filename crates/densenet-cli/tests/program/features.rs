//! Features of pictures as files, as a map, and as a search for like pictures.

use std::fs;
use std::path::Path;

use densenet::data::{Picture, Preprocessing};
use densenet::network::{DenseNet, Features};
use ndarray::Axis;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, RowAccessor};
use serde_json::Value;

use crate::folder::Folder;

/// A folder to work in.
struct World(Folder);

works_in_its_folder!(World);

/// A network of 3 channels and 5 classes with a 7x7 stem, of three blocks.
const WEIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../densenet/tests/goldens/checkpoints/torchvision.pth");

impl World {
    /// With five pictures in `p`, of which one is a copy of another, and one that cannot be read.
    fn new() -> Self {
        let world = Self(Folder::new());
        for (name, number) in [("a/0", 0), ("a/1", 7), ("b/0", 19), ("b/1", 23), ("b/copy", 7)] {
            world.picture(&format!("p/{name}.pgm"), number);
        }
        world
    }

    /// A grey picture of 16x16, as PGM.
    fn picture(&self, name: &str, number: usize) {
        let pixels: Vec<u8> = (0..256).map(|i| (i * (31 + number) + i * i / 9) as u8).collect();
        self.write(name, [b"P5 16 16 255\n".as_slice(), &pixels].concat());
    }

    /// Stdout and stderr of `densenet features`, which must exit with `code`.
    fn exits(&self, code: i32, words: &str) -> (String, String) {
        let usual = format!("features --weights {WEIGHTS} --preset imagenet --size 32 --threads 1");
        self.0.exits(code, &format!("{usual} {words}"))
    }

    /// What the library makes of the pictures `names`.
    fn library(&self, names: &[&str]) -> Features<f32> {
        let preprocessing = Preprocessing::named("imagenet").unwrap().with_size(32);
        let pictures: Vec<Picture<'_>> = names.iter().map(|name| Picture::open(self.path(name)).unwrap()).collect();
        let (network, _) = DenseNet::load(WEIGHTS).unwrap();
        network.features(preprocessing.batch(&pictures).unwrap().view()).unwrap()
    }
}

/// The values of a `.npy` of float32.
fn values(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).unwrap();
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[header..].chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect()
}

const NAMES: [&str; 5] = ["p/a/0.pgm", "p/a/1.pgm", "p/b/0.pgm", "p/b/1.pgm", "p/b/copy.pgm"];

#[test]
fn files_hold_what_the_library_makes() {
    let world = World::new();
    let features = world.library(&NAMES);
    world.write("p/b/broken.png", b"no picture");
    let (out, err) = world.exits(1, "p --out f.npy --batch 2");
    assert_eq!((&*out, world.text("f.txt")), ("", NAMES.map(|name| format!("{name}\n")).concat()));
    for part in ["error: p/b/broken.png: ", "1 of 6 inputs could not be read", "wrote f.npy: 5 inputs, "] {
        assert!(err.contains(part), "{part}: {err}");
    }
    assert_eq!(values(&world.path("f.npy")), features.pooled.iter().copied().collect::<Vec<f32>>());
    let mean = features.blocks[0].mean_axis(Axis(3)).unwrap().mean_axis(Axis(2)).unwrap();
    let (out, _) = world.exits(0, "p/a p/b/copy.pgm --block 1 --out f.csv --json");
    let object: Value = serde_json::from_str(&out).unwrap();
    let wanted = serde_json::json!({ "inputs": 3, "values": mean.ncols(), "unreadable": [] });
    assert_eq!(object, wanted);
    let table = world.text("f.csv");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0][..3], ["path", "feature_1", "feature_2"]);
    for (row, of) in rows[1..].iter().zip([0, 1, 4]) {
        let found: Vec<f32> = row[1..].iter().map(|value| value.parse().unwrap()).collect();
        assert_eq!((row[0], found), (NAMES[of], mean.row(of).to_vec()));
    }
    assert_eq!(rows.len(), 4);
}

#[test]
fn a_table_in_parquet_holds_paths_and_lists() {
    let world = World::new();
    let features = world.library(&NAMES);
    world.exits(0, "p --out f.parquet");
    let reader = SerializedFileReader::new(fs::File::open(world.path("f.parquet")).unwrap()).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), NAMES.len());
    for ((row, name), values) in rows.iter().zip(NAMES).zip(features.pooled.rows()) {
        let wanted: Vec<Field> = values.iter().map(|&value| Field::Float(value)).collect();
        assert_eq!((&**row.get_string(0).unwrap(), row.get_list(1).unwrap().elements()), (name, &*wanted));
    }
}

#[test]
fn arrays_are_named_by_their_rows() {
    let world = World::new();
    let header = format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3, 32, 32), }");
    let zeros = vec![0; 4 * 3 * 3 * 32 * 32];
    world.write("x.npy", [b"\x93NUMPY\x01\x00", &118u16.to_le_bytes()[..], header.as_bytes(), &zeros].concat());
    world.exits(0, "x.npy p/a/0.pgm --out f.npy --batch 2 --page map.html");
    assert_eq!(world.text("f.txt"), "x.npy[0]\nx.npy[1]\nx.npy[2]\np/a/0.pgm\n");
    let page = world.text("map.html");
    assert_eq!((page.matches("data-tip=").count(), page.matches("data-picture=").count()), (4, 1), "{page}");
}

#[test]
fn a_map_is_laid_out_by_t_sne() {
    let world = World::new();
    (0..16).for_each(|number| world.picture(&format!("q/{number}.pgm"), number * number));
    let page = |words: &str| {
        world.exits(0, &format!("q --page map.html {words}"));
        world.text("map.html")
    };
    let (flat, found) = (page("--map pca"), page("--map tsne"));
    assert!(flat == page("") && flat.contains("principal components") && !flat.contains("t-SNE"), "{flat}");
    assert!(found.contains("t-SNE (perplexity 5)") && !found.contains("principal components"), "{found}");
    let places = |page: &str| page.split("<circle class=\"disc c0\" cx=").skip(1).count();
    assert_eq!((places(&flat), places(&found)), (16, 16), "{found}");
    let words =
        format!("features --weights {WEIGHTS} --preset imagenet --size 32 --threads 2 q --page map.html --map tsne");
    world.0.exits(0, &words);
    assert!(found == world.text("map.html"), "the same on any number of threads");
}

#[test]
fn neighbours_are_the_pictures_that_are_most_alike() {
    let world = World::new();
    for class in ["a", "b"] {
        (0..3)
            .for_each(|i| world.picture(&format!("set/train/{class}/{i}.pgm"), 40 + 5 * i + usize::from(class == "b")));
        world.picture(&format!("set/test/{class}/0.pgm"), 7);
    }
    fs::copy(world.path("p/b/1.pgm"), world.path("set/train/b/same.pgm")).unwrap();
    let (out, _) = world.exits(0, "p/b/1.pgm --neighbours 2 --of set");
    assert!(out.starts_with("p/b/1.pgm: set/train/b/same.pgm (b) 1.0000, set/train/"), "{out}");
    // A folder that holds pictures has no classes.
    let (out, _) = world.exits(0, "p/a/1.pgm p/a/0.pgm --neighbours 9 --of p/b --json --page map.html");
    let object: Value = serde_json::from_str(&out).unwrap();
    let nearest = object["neighbours"][0]["nearest"].as_array().unwrap();
    assert_eq!(
        (nearest.len(), &nearest[0]["picture"], &nearest[0]["labels"]),
        (3, &NAMES[4].into(), &serde_json::json!([]))
    );
    let similarities: Vec<f64> = nearest.iter().map(|near| near["similarity"].as_f64().unwrap()).collect();
    assert!(similarities.is_sorted_by(|one, other| one >= other) && (similarities[0] - 1.0).abs() < 1e-5, "{out}");
    assert_eq!(object["neighbours"][1]["input"], NAMES[0]);
    let page = world.text("map.html");
    assert_eq!((page.matches("data-tip=").count(), page.matches("<img ").count()), (2, 2 * (1 + 3)), "{page}");
}

#[test]
fn pictures_without_files_are_called_by_their_places() {
    let world = World::new();
    let pixels = |number: usize| fs::read(world.path(NAMES[number])).unwrap()[13..].to_vec();
    for (part, numbers) in [("train", [2, 0, 1]), ("t10k", [0, 1, 2])] {
        let header = |magic: u32, extents: &[u32]| {
            [magic].iter().chain(extents).flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>()
        };
        let images = numbers.map(pixels).concat();
        world.write(&format!("idx/{part}-images-idx3-ubyte"), [header(0x803, &[3, 16, 16]), images].concat());
        world.write(&format!("idx/{part}-labels-idx1-ubyte"), [header(0x801, &[3]), vec![0, 1, 1]].concat());
    }
    let (out, _) = world.exits(0, "p/a/1.pgm --neighbours 1 --of ./idx");
    assert_eq!(out, "p/a/1.pgm: picture 2 (1) 1.0000\n");
}

#[test]
fn wrong_words_and_inputs_are_told_before_anything_is_written() {
    let world = World::new();
    for (code, words, part) in [
        (2, "p", "--out"),
        (2, "p --out f.arrow", "f.arrow: --out takes a file that ends in .npy, .csv or .parquet"),
        (2, "p --out f.npy --block 9", "--block is 9; this network has 3 blocks, counted from 1"),
        (2, "p --out f.npy --block 0", "--block is 0"),
        (2, "p --out f.npy --map tsne", "--page"),
        (2, "p --page f.html --map umap", "pca, tsne"),
        (1, "p --page f.html --map tsne", "--map tsne needs at least 16 inputs; 5 could be read"),
        (2, "p --page f.npy --out f.npy", "--out and --page name the same file"),
        (2, "p --neighbours 3", "--of"),
        (2, "p --out f.npy --of p/a", "--neighbours"),
        (1, "p --out nowhere/f.npy", "nowhere/f.npy"),
        (1, "gone.png --out f.npy", "no input could be read"),
        (1, "p --neighbours 1 --of nothing", "nothing"),
    ] {
        let (_, err) = world.exits(code, words);
        assert!(err.contains(part), "{words}: {part:?} is not in {err}");
    }
    let mut names: Vec<_> = fs::read_dir(world.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| name != "cache");
    assert_eq!(names, ["p"]);
    // The map alone lacks inputs: what was worked out is kept.
    world.exits(1, "p --page f.html --map tsne --out f.npy");
    assert!(world.path("f.npy").exists() && !world.path("f.html").exists());
}
