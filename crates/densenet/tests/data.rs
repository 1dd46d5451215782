//! Reading data sets: small made ones, good and bad, and the real ones where they are at hand.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use densenet::Error;
use densenet::data::{Augment, DataSet, Part, Preprocessing, Split, pictures_in};
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

/// An IDX file of those extents.
fn idx(extents: &[u32], content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, extents.len() as u8];
    extents.iter().for_each(|extent| bytes.extend(extent.to_be_bytes()));
    bytes.extend(content);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";

/// A folder of that name with three training pictures and one test picture of 2x4, plain.
fn idx_folder(home: &TempDir, name: &str) -> PathBuf {
    let folder = home.path().join(name);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(TRAIN_IMAGES), idx(&[3, 2, 4], &(0..24).collect::<Vec<u8>>())).unwrap();
    fs::write(folder.join(TRAIN_LABELS), idx(&[3], &[2, 0, 1])).unwrap();
    fs::write(folder.join("t10k-images-idx3-ubyte"), idx(&[1, 2, 4], &[9; 8])).unwrap();
    fs::write(folder.join("t10k-labels-idx1-ubyte"), idx(&[1], &[1])).unwrap();
    folder
}

/// The error of reading `folder`, which must be about `file`'s content.
fn refusal(folder: &Path, file: &str) -> String {
    let error = DataSet::read(folder).unwrap_err();
    assert!(matches!(error, Error::Format { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.contains(file), "{message} does not name {file}");
    message
}

#[test]
fn idx_is_read_plain_and_gzipped_whatever_its_name() {
    let home = TempDir::new().unwrap();
    let folder = idx_folder(&home, "digits");
    let plain = DataSet::read(&folder).unwrap();
    assert_eq!(plain.train.labels(), [2, 0, 1]);
    assert_eq!(plain.train.classes(), ["0", "1", "2"]);
    assert_eq!(plain.test.classes(), plain.train.classes());
    let last = plain.train.picture(2).unwrap();
    assert_eq!((last.height(), last.width(), last.channels()), (2, 4, 1));
    assert_eq!(last.pixels(), (16..24).collect::<Vec<u8>>());
    let mean = 11.5 / 255.0;
    assert!((plain.preprocessing.mean[0] - mean).abs() < 1e-7);
    assert!((plain.preprocessing.std[0] - ((24.0f32 * 24.0 - 1.0) / 12.0).sqrt() / 255.0).abs() < 1e-7);

    for name in [TRAIN_IMAGES, TRAIN_LABELS] {
        let bytes = fs::read(folder.join(name)).unwrap();
        fs::remove_file(folder.join(name)).unwrap();
        fs::write(folder.join(name.replace("-idx", ".idx")), gzip(&bytes)).unwrap();
    }
    let packed = DataSet::read(&folder).unwrap();
    assert_eq!(packed.train.labels(), plain.train.labels());
    assert_eq!(packed.train.picture(2).unwrap(), last);
}

#[test]
fn the_folders_name_names_the_classes() {
    let home = TempDir::new().unwrap();
    let set = DataSet::read(idx_folder(&home, "fashion-mnist")).unwrap();
    assert_eq!(set.train.classes().len(), 10);
    assert_eq!(set.train.classes()[9], "Ankle boot");
    assert_eq!(set.preprocessing, Preprocessing::named("fashion-mnist").unwrap());
}

#[test]
fn malformed_idx_is_refused() {
    let home = TempDir::new().unwrap();
    let folder = idx_folder(&home, "digits");
    let good = idx(&[3, 2, 4], &(0..24).collect::<Vec<u8>>());
    let packed = gzip(&good);
    let mut corrupt = packed.clone();
    let at = corrupt.len() - 6;
    corrupt[at] ^= 0xff;
    let bomb = gzip(&idx(&[3, 2, 4], &vec![0; 50_000_000]));
    let cases: [(&[u8], &str); 12] = [
        (&packed[..packed.len() / 2], "truncated"),
        (&packed[..packed.len() - 3], "truncated"),
        (&corrupt, "corrupt"),
        (&good[..10], "truncated"),
        (b"", "truncated"),
        (&good[..30], "its header says [3, 2, 4], 24 bytes, but there are 14"),
        (&[good.as_slice(), b"x"].concat(), "24 bytes, but there are more"),
        (&bomb, "24 bytes, but there are more"),
        (&idx(&[3], &[0, 1, 2]), "its magic number is 0x00000801; an IDX file of 3 extents has 0x00000803"),
        (&idx(&[u32::MAX, 28, 28], &[0; 100]), "its header says [4294967295, 28, 28]"),
        (&idx(&[u32::MAX, u32::MAX, u32::MAX], &[]), "from 1 to"),
        (&idx(&[0, 28, 28], &[]), "its header says [0, 28, 28], 0 bytes"),
    ];
    for (bytes, expected) in cases {
        fs::write(folder.join(TRAIN_IMAGES), bytes).unwrap();
        let message = refusal(&folder, TRAIN_IMAGES);
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
}

#[test]
fn counts_labels_and_missing_files_of_idx_are_checked() {
    let home = TempDir::new().unwrap();
    let folder = idx_folder(&home, "mnist");
    fs::write(folder.join(TRAIN_LABELS), idx(&[2], &[0, 1])).unwrap();
    assert!(refusal(&folder, TRAIN_LABELS).contains("3 pictures but 2 labels"));
    fs::write(folder.join(TRAIN_LABELS), idx(&[3], &[0, 1, 10])).unwrap();
    assert!(refusal(&folder, TRAIN_LABELS).contains("label 10 of picture 2 is out of range; 10 classes count from 0"));
    fs::remove_file(folder.join(TRAIN_LABELS)).unwrap();
    assert!(refusal(&folder, "mnist").contains("train-labels-idx1-ubyte, plain or .gz, is missing"));
}

/// A test label beyond the training labels would have no class.
#[test]
fn a_class_that_is_only_in_the_test_part_is_refused() {
    let home = TempDir::new().unwrap();
    let folder = idx_folder(&home, "digits");
    fs::write(folder.join("t10k-labels-idx1-ubyte"), idx(&[1], &[3])).unwrap();
    assert!(refusal(&folder, "t10k-labels-idx1-ubyte").contains("label 3 of picture 0 is out of range"));
}

/// A record whose red, green and blue planes count from `start`, `start + 1` and `start + 2`.
fn record(labels: &[u8], start: u8) -> Vec<u8> {
    let plane = |c: u8| (0..1024u32).map(move |p| (p as u8).wrapping_add(start + c));
    labels.iter().copied().chain((0..3).flat_map(plane)).collect()
}

fn cifar10_folder(home: &TempDir) -> PathBuf {
    let folder = home.path().join("pictures");
    fs::create_dir(&folder).unwrap();
    for batch in 1..=5u8 {
        fs::write(folder.join(format!("data_batch_{batch}.bin")), record(&[batch], 10 * batch)).unwrap();
    }
    fs::write(folder.join("test_batch.bin"), [record(&[0], 1), record(&[9], 2)].concat()).unwrap();
    folder
}

#[test]
fn cifar10_is_read_with_its_channels_interleaved() {
    let home = TempDir::new().unwrap();
    let set = DataSet::read(cifar10_folder(&home)).unwrap();
    assert_eq!((set.name.as_str(), set.train.labels()), ("cifar10", [1, 2, 3, 4, 5].as_slice()));
    assert_eq!((set.test.labels(), set.test.classes()[9].as_str()), ([0, 9].as_slice(), "truck"));
    let picture = set.train.picture(1).unwrap();
    assert_eq!((picture.height(), picture.width(), picture.channels()), (32, 32, 3));
    assert_eq!(picture.pixels()[..6], [20, 21, 22, 21, 22, 23]);
}

#[test]
fn cifar100_takes_the_fine_label() {
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("train.bin"), [record(&[19, 99], 0), record(&[0, 4], 9)].concat()).unwrap();
    fs::write(home.path().join("test.bin"), record(&[1, 0], 0)).unwrap();
    let set = DataSet::read(home.path()).unwrap();
    assert_eq!(set.train.labels(), [99, 4]);
    assert_eq!((set.train.classes().len(), set.train.classes()[99].as_str()), (100, "worm"));
    assert!(set.train.classes().is_sorted(), "the published order is alphabetical");
}

#[test]
fn malformed_cifar_is_refused() {
    let home = TempDir::new().unwrap();
    let folder = cifar10_folder(&home);
    let third = folder.join("data_batch_3.bin");
    for bytes in [&record(&[3], 0)[..3000], b"", &record(&[3, 3], 0)] {
        fs::write(&third, bytes).unwrap();
        assert!(refusal(&folder, "data_batch_3.bin").contains("it must hold whole records of 3073 bytes"));
    }
    fs::write(&third, [record(&[3], 0), record(&[10], 0)].concat()).unwrap();
    assert!(refusal(&folder, "data_batch_3.bin").contains("label 10 of record 1 is out of range"));
    fs::remove_file(&third).unwrap();
    let missing = DataSet::read(&folder).unwrap_err();
    assert!(matches!(missing, Error::Io { .. }) && missing.to_string().contains("data_batch_3.bin"), "{missing}");
}

/// Writes a picture of one grey level.
fn picture(path: PathBuf, level: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::GrayImage::from_pixel(8, 6, image::Luma([level])).save(path).unwrap();
}

#[test]
fn folders_of_classes_are_read_in_the_order_of_their_names() {
    let home = TempDir::new().unwrap();
    for (part, class, name) in [
        ("train", "cat", "b.png"),
        ("train", "cat", "a.PNG"),
        ("train", "ant", "c.png"),
        ("validation", "cat", "d.png"),
        ("test", "cat", "e.png"),
    ] {
        picture(home.path().join(part).join(class).join(name), 1);
    }
    fs::write(home.path().join("train/cat/notes.txt"), "no picture").unwrap();
    fs::create_dir(home.path().join("train/.hidden")).unwrap();
    let set = DataSet::read(home.path()).unwrap();
    assert_eq!(set.train.classes(), ["ant", "cat"]);
    assert_eq!(set.train.labels(), [0, 1, 1]);
    assert!(set.train.path(1).unwrap().ends_with("train/cat/a.PNG"));
    assert_eq!(set.test.labels(), [1]);
    assert!(set.test.path(0).unwrap().ends_with("test/cat/e.png"));
    assert!(set.validation.as_ref().unwrap().path(0).unwrap().ends_with("validation/cat/d.png"));
    assert_eq!(set.notes, [format!("{}: left out files that are not pictures (.txt: 1)", home.path().display())]);
    assert_eq!(set.preprocessing, Preprocessing::named("imagenet").unwrap());
}

#[test]
fn without_a_test_part_a_tenth_of_each_class_is_held_out() {
    let home = TempDir::new().unwrap();
    for (class, count) in [("many", 35), ("few", 3), ("one", 1)] {
        (0..count).for_each(|i| picture(home.path().join(class).join(format!("{i}.png")), i));
    }
    let set = DataSet::read(home.path()).unwrap();
    assert_eq!(set.train.classes(), ["few", "many", "one"]);
    let count = |split: &Split, class| split.labels().iter().filter(|&&label| label == class).count();
    assert_eq!([0, 1, 2].map(|class| count(&set.train, class)), [2, 31, 1]);
    assert_eq!([0, 1, 2].map(|class| count(&set.test, class)), [1, 4, 0]);
    let (train, test) = (paths(&set.train), paths(&set.test));
    assert!(test.iter().all(|path| !train.contains(path)));
    assert_eq!(paths(&DataSet::read(home.path()).unwrap().test), test, "the same each time");
}

#[test]
fn folders_that_are_no_data_set_are_refused() {
    let home = TempDir::new().unwrap();
    assert!(refusal(home.path(), "").contains("no class folders"));
    fs::create_dir(home.path().join("cat")).unwrap();
    assert!(refusal(home.path(), "").contains("no pictures (jpg, jpeg, png, bmp, gif, webp, tif, "));
    picture(home.path().join("train/cat/a.png"), 1);
    picture(home.path().join("test/cat/a.png"), 1);
    picture(home.path().join("test/dog/a.png"), 1);
    assert!(refusal(home.path(), "dog").contains("has no class dog"));
    assert!(refusal(&home.path().join("none"), "none").contains("neither a folder nor a table"));
}

fn paths(split: &Split) -> Vec<PathBuf> {
    (0..split.len()).map(|i| split.path(i).unwrap().into()).collect()
}

#[test]
fn validation_chooses_and_a_folder_of_what_nobody_labelled_is_passed_over() {
    let home = TempDir::new().unwrap();
    for name in ["train/a/1.png", "train/b/1.png", "valid/a/1.png", "valid/b/1.png", "test/x.png"] {
        picture(home.path().join(name), 1);
    }
    let set = DataSet::read(home.path()).unwrap();
    let valid: Vec<PathBuf> = ["a", "b"].map(|class| home.path().join("valid").join(class).join("1.png")).into();
    assert_eq!((paths(&set.test), set.test.part()), (valid, Part::Validation));
    assert!(set.validation.is_none() && set.chooses().part() == Part::Validation);
    assert_eq!(set.notes, [format!("{}/test has no class folders and is skipped", home.path().display())]);
    picture(home.path().join("test/a/1.png"), 1);
    let set = DataSet::read(home.path()).unwrap();
    assert_eq!((set.test.len(), set.test.part(), set.chooses().part()), (1, Part::Test, Part::Validation));
    assert_eq!(set.clone().into_part(Some(Part::Validation)).unwrap().len(), 2);
    assert_eq!(set.clone().into_part(Some(Part::Train)).unwrap().part(), Part::Train);
    assert_eq!(set.into_part(None).unwrap().part(), Part::Test);
}

#[test]
fn a_folder_of_classes_is_taken_whole_where_no_part_is_named() {
    let home = TempDir::new().unwrap();
    for class in ["a", "b"] {
        (0..20).for_each(|i| picture(home.path().join(class).join(format!("{i}.png")), i));
    }
    let set = DataSet::read(home.path()).unwrap();
    let whole = set.clone().into_part(None).unwrap();
    assert_eq!((whole.len(), whole.labels().iter().sum::<usize>()), (40, 20));
    assert!(paths(&whole).is_sorted() && paths(&whole)[39].ends_with("b/9.png"));
    assert_eq!(set.clone().into_part(Some(Part::Test)).unwrap().len(), 4);
    let error = set.into_part(Some(Part::Validation)).unwrap_err().to_string();
    assert!(error.contains("it has no part val; it has train and test"), "{error}");
}

/// What torchvision's `ImageFolder` finds, which also goes into folders and links, and what it does not.
#[cfg(unix)]
#[test]
fn pictures_are_found_as_torchvision_finds_them() {
    use std::os::unix::fs::symlink;
    let home = TempDir::new().unwrap();
    let class = home.path().join("set/cat");
    for name in ["a.png", "deep/er/b.tif", "deep/.c.png", ".ipynb_checkpoints/a.png"] {
        picture(class.join(name), 1);
    }
    picture(home.path().join("elsewhere/d.PPM"), 1);
    fs::write(class.join("notes.txt"), "no picture").unwrap();
    fs::write(class.join("deep/README"), "no picture").unwrap();
    symlink(home.path().join("elsewhere"), class.join("linked")).unwrap();
    symlink(&class, class.join("deep/loop")).unwrap();
    symlink(home.path().join("none"), class.join("gone.png")).unwrap();
    symlink(home.path().join("elsewhere"), home.path().join("set/dog")).unwrap();
    let found = pictures_in(&class).unwrap();
    assert_eq!(found.pictures, ["a.png", "deep/er/b.tif", "linked/d.PPM"].map(|name| class.join(name)));
    let left_out = ".txt: 1, broken link: 1, link in a loop: 1, without a suffix: 1";
    assert_eq!((found.left_out.to_string().as_str(), found.left_out.count()), (left_out, 4));
    let set = DataSet::read(home.path().join("set")).unwrap();
    assert_eq!(set.train.classes(), ["cat", "dog"]);
    assert_eq!(set.into_part(None).unwrap().labels(), [0, 0, 0, 1]);
}

#[test]
fn classes_are_matched_by_name() {
    let split = |classes: &[&str]| {
        let names = classes.iter().map(|class| class.to_string()).collect();
        Split::in_memory(Path::new("some"), [1, 1, 1], vec![0, 0], vec![0, classes.len() - 1], names).unwrap()
    };
    let known = ["ant", "bee", "cat"].map(String::from);
    let matched = split(&["bee", "cat"]).relabelled(&known).unwrap();
    assert_eq!((matched.labels(), matched.classes()), ([1, 2].as_slice(), known.as_slice()));
    assert_eq!(matched.empty_class(), Some("ant"));
    assert_eq!(split(&["ant", "dog"]).relabelled(&known).unwrap_err(), "dog");
}

#[test]
fn an_unreadable_picture_is_named() {
    let home = TempDir::new().unwrap();
    (0..4).for_each(|i| picture(home.path().join(format!("train/cat/{i}.png")), i));
    picture(home.path().join("test/cat/0.png"), 1);
    fs::write(home.path().join("train/cat/2.png"), "no picture").unwrap();
    let set = DataSet::read(home.path()).unwrap();
    let preprocessing = set.preprocessing.with_size(32);
    let mut out = vec![0.0; 4 * preprocessing.elements()];
    let error = set.train.fill(&[0, 1, 2, 3], &preprocessing, Augment::None, 0, &mut out).unwrap_err();
    assert!(error.to_string().contains("2.png: not a picture"), "{error}");
}

/// The real data set of that name under the folder that `DENSENET_DATA` names.
fn real(name: &str) -> Option<DataSet> {
    let folder = std::env::var_os("DENSENET_DATA").map(|home| Path::new(&home).join(name)).filter(|f| f.is_dir());
    if folder.is_none() {
        eprintln!("skipped: DENSENET_DATA names no folder that holds {name}");
    }
    folder.map(|folder| DataSet::read(folder).unwrap())
}

/// Mean and deviation of each channel over the training pictures.
fn moments(split: &Split) -> Vec<(f64, f64)> {
    let channels = split.picture(0).unwrap().channels();
    let mut sums = vec![(0u64, 0u64, 0u64); channels];
    for index in 0..split.len() {
        for pixel in split.picture(index).unwrap().pixels().chunks_exact(channels) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                let value = u64::from(value);
                *sum = (sum.0 + 1, sum.1 + value, sum.2 + value * value);
            }
        }
    }
    let moment = |&(count, sum, squares): &(u64, u64, u64)| {
        let mean = sum as f64 / count as f64;
        (mean / 255.0, (squares as f64 / count as f64 - mean * mean).sqrt() / 255.0)
    };
    sums.iter().map(moment).collect()
}

#[test]
fn the_real_sets_are_as_published() {
    for (name, train, test) in
        [("fashion-mnist", 60_000, 10_000), ("mnist", 60_000, 10_000), ("cifar10", 50_000, 10_000)]
    {
        let Some(set) = real(name) else { continue };
        assert_eq!((set.name.as_str(), set.train.len(), set.test.len()), (name, train, test));
        let per_class = |split: &Split, class| split.labels().iter().filter(|&&label| label == class).count();
        if name != "mnist" {
            assert!((0..10).all(|class| per_class(&set.train, class) == train / 10));
            assert!((0..10).all(|class| per_class(&set.test, class) == test / 10));
        }
        let named = Preprocessing::named(name).unwrap();
        for (channel, (mean, std)) in moments(&set.train).into_iter().enumerate() {
            assert!((f64::from(named.mean[channel]) - mean).abs() < 6e-5, "{name}: mean {mean} of channel {channel}");
            assert!((f64::from(named.std[channel]) - std).abs() < 6e-5, "{name}: std {std} of channel {channel}");
        }
    }
}
