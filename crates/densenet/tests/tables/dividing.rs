//! How a set is divided, and how that is saved.

use std::collections::BTreeSet;
use std::fs;

use densenet::data::{DataSet, TableOptions};

use super::{Folder, whole};

/// Sixty pictures of three classes and of groups of three, with a table.
fn bursts() -> (Folder, TableOptions) {
    let folder = Folder::new();
    let mut table = String::from("path,label,burst\n");
    for i in 0..60 {
        folder.write(&format!("p/{i:02}.png"), "");
        table += &format!("p/{i:02}.png,{},b{}\n", ["x", "y", "z"][i / 20], i / 3);
    }
    folder.write("t.csv", table);
    (folder, TableOptions { group_by: Some("burst".into()), ..TableOptions::default() })
}

/// The bursts of a part.
fn groups(names: &[String]) -> BTreeSet<usize> {
    names.iter().map(|name| name[2..4].parse::<usize>().unwrap() / 3).collect()
}

fn parts(folder: &Folder, set: &DataSet) -> [Vec<String>; 3] {
    let validation = set.validation.as_ref().map_or(Vec::new(), |split| folder.names(split));
    [folder.names(&set.train), validation, folder.names(&set.test)]
}

#[test]
fn a_tenth_is_held_out_and_groups_stay_together() {
    let (folder, options) = bursts();
    let set = folder.read_with("t.csv", &options);
    let [train, validation, test] = parts(&folder, &set);
    assert!(validation.is_empty() && groups(&train).is_disjoint(&groups(&test)));
    // Of 20 pictures 2 are wanted, and a burst is of 3.
    assert_eq!((train.len(), test.len()), (51, 9), "{test:?}");
    assert_eq!(parts(&folder, &folder.read_with("t.csv", &options))[2], test, "the same each time");
    let alone = folder.read("t.csv");
    assert_eq!(alone.test.len(), 6);
    assert!((0..3).all(|class| alone.test.labels().iter().filter(|&&label| label == class).count() == 2));
    assert_eq!(whole(set).len(), 60);
}

/// A table with a test part, so that the rest is divided at random.
fn with_test() -> (Folder, TableOptions) {
    let (folder, options) = bursts();
    let table = std::fs::read_to_string(folder.path("t.csv")).unwrap();
    let part = |line: &str| {
        let split =
            if ["b0", "b9", "b15"].iter().any(|burst| line.ends_with(&format!(",{burst}"))) { "test" } else { "train" };
        format!("{line},{split}\n")
    };
    let lines: String = table.lines().skip(1).map(part).collect();
    folder.write("t.csv", format!("path,label,burst,split\n{lines}"));
    (folder, options)
}

#[test]
fn a_seed_divides_classes_and_groups() {
    let (folder, options) = with_test();
    let set = || folder.read_with("t.csv", &options);
    let [train, validation, test] = parts(&folder, &set().divide(0.2, 5).unwrap());
    assert_eq!((test.len(), train.len() + validation.len()), (9, 51));
    assert!((9..=12).contains(&validation.len()), "{validation:?}");
    assert!(groups(&train).is_disjoint(&groups(&validation)));
    assert_eq!(parts(&folder, &set().divide(0.2, 5).unwrap())[1], validation);
    assert_ne!(parts(&folder, &set().divide(0.2, 6).unwrap())[1], validation);
    let divided = set().divide(0.2, 5).unwrap();
    let known = divided.validation.as_ref().unwrap();
    assert!((0..3).all(|class| known.labels().contains(&class)));
    for wrong in [0.0, 1.0, -0.5, f64::NAN] {
        assert!(set().divide(wrong, 0).unwrap_err().to_string().contains("it must be between 0 and 1"));
    }
}

#[test]
fn a_saved_split_is_read_back_to_the_very_same_pictures() {
    let (folder, options) = with_test();
    let set = || folder.read_with("t.csv", &options);
    let divided = set().divide(0.2, 5).unwrap();
    let file = folder.path("split.csv");
    divided.write_split(&file).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("picture,part\np/") && text.lines().count() == 61, "{text}");
    // A picture that came since is in no part, and moves none of the others.
    folder.write("p/60.png", "");
    let table = std::fs::read_to_string(folder.path("t.csv")).unwrap();
    folder.write("t.csv", table.replace("p/01.png", "p/60.png,x,b0,test\np/01.png"));
    let again = set().divide_as(&file).unwrap();
    assert_eq!(parts(&folder, &again), parts(&folder, &divided));
    assert_eq!((again.train.labels(), again.train.groups().len()), (divided.train.labels(), divided.train.len()));
    for (line, wrong, expected) in [
        ("p/00.png,test", "p/99.png,test", "p/99.png is not in "),
        ("p/00.png,test", "p/01.png,test", "p/01.png is in line "),
        ("p/00.png,test", "p/00.png,exam", "\"exam\" is not a part; use train, val or test"),
        ("picture,part", "picture,kind", "its header is not picture,part"),
        ("p/00.png,test", "p/00.png", "not a list of pictures: "),
    ] {
        assert!(text.contains(line), "{text}");
        folder.write("wrong.csv", text.replace(line, wrong));
        let message = set().divide_as(&folder.path("wrong.csv")).unwrap_err().to_string();
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
}

#[test]
fn a_folder_of_classes_is_divided_as_it_was() {
    let folder = Folder::new();
    (0..40).for_each(|i| folder.write(&format!("{}/{i}.png", ["x", "y"][i % 2]), ""));
    let divided = folder.read("").divide(0.25, 1).unwrap();
    let file = folder.path("split.csv");
    divided.write_split(&file).unwrap();
    let again = folder.read("").divide_as(&file).unwrap();
    assert_eq!(parts(&folder, &again), parts(&folder, &divided));
    assert_eq!((again.test.part(), again.chooses().part()), (divided.test.part(), divided.chooses().part()));
}

/// What is gone keeps its place, and what came is left out, so that the others are drawn as before.
#[test]
fn a_folder_of_classes_that_has_changed_is_divided_as_it_was() {
    for inside in ["", "train/"] {
        let folder = Folder::new();
        (0..40).for_each(|i| folder.write(&format!("{inside}{}/{i}.png", ["x", "y"][i % 2]), ""));
        let divided = folder.read("").divide(0.25, 1).unwrap();
        let (file, begun) = (folder.path("split.csv"), parts(&folder, &divided));
        divided.write_split(&file).unwrap();
        fs::remove_file(folder.path(&begun[0][3])).unwrap();
        ["x/new.png", "a/1.png", "a/2.png"].iter().for_each(|name| folder.write(&format!("{inside}{name}"), ""));
        let is_as_begun = || {
            let again = folder.read("").divide_as(&file).unwrap();
            assert_eq!(parts(&folder, &again), begun);
            assert_eq!(again.train.classes(), ["x", "y"]);
            assert_eq!((again.train.labels(), again.test.labels()), (divided.train.labels(), divided.test.labels()));
            assert!(matches!(again.train.picture(3), Err(densenet::Error::Io { .. })));
        };
        is_as_begun();
        fs::remove_dir_all(folder.path(&format!("{inside}y"))).unwrap();
        is_as_begun();
        // Another folder is not this one, all of whose pictures are gone.
        let other = Folder::of(&["train/x/98.png", "train/x/99.png", "train/y/98.png", "train/y/99.png"]);
        let message = other.read("").divide_as(&file).unwrap_err().to_string();
        assert!(message.contains("split.csv: line 2: ") && message.contains(" is not in "), "{message}");
    }
}

#[test]
fn too_few_pictures_are_the_datas_fault() {
    let folder = Folder::of(&["x/1.png", "x/2.png", "y/1.png", "y/2.png"]);
    let error = folder.read("").divide(0.1, 0).unwrap_err();
    assert!(matches!(error, densenet::Error::DataSet { .. }), "{error:?}");
    let expected = "no class has two training pictures, one of which could be held out; add some, or choose by the \
                    test part (--val-fraction 0)";
    assert!(error.to_string().ends_with(expected), "{error}");
}

/// Pictures in memory are told by their places.
#[test]
fn a_set_in_memory_is_divided_as_it_was() {
    let folder = Folder::new();
    let record = |label: u8, shade: u8| [vec![label], vec![shade; 3072]].concat();
    for batch in 1..=5u8 {
        let records: Vec<u8> = (0..10).flat_map(|i| record(i % 2, 10 * batch + i)).collect();
        folder.write(&format!("data_batch_{batch}.bin"), records);
    }
    folder.write("test_batch.bin", record(0, 1));
    let divided = folder.read("").divide(0.2, 3).unwrap();
    let file = folder.path("split.csv");
    divided.write_split(&file).unwrap();
    let again = folder.read("").divide_as(&file).unwrap();
    let shades = |set: &DataSet| -> Vec<Vec<u8>> {
        let of =
            |split: &densenet::data::Split| (0..split.len()).map(|i| split.picture(i).unwrap().pixels()[0]).collect();
        [&set.train, set.validation.as_ref().unwrap(), &set.test].map(of).into()
    };
    assert_eq!(shades(&again), shades(&divided));
    assert_eq!((again.validation.unwrap().len(), again.test.len()), (10, 1));
}
