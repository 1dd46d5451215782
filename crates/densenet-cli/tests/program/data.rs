//! `densenet data` from end to end, on folders made up on the spot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// A picture of `side` by `side`, no two of other numbers alike.
fn bmp(side: usize, number: u32) -> Vec<u8> {
    let row = (3 * side).next_multiple_of(4);
    let mut file = b"BM".to_vec();
    file.extend([54 + (row * side) as u32, 0, 54, 40, side as u32, side as u32].iter().flat_map(|w| w.to_le_bytes()));
    file.extend([1u16, 24].iter().flat_map(|word| word.to_le_bytes()));
    file.extend([0; 24]);
    file.extend((0..row * side).map(|i| (i as u32).wrapping_mul(7 + 2 * number).wrapping_add(number * 31) as u8));
    file
}

/// A folder of two classes: 12 pictures each to train on, 2 each to test.
fn sound() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (class, name) in ["bird", "cat"].into_iter().enumerate() {
        for (part, pictures) in [("train", 0..12), ("test", 12..14)] {
            let place = folder.path().join("set").join(part).join(name);
            fs::create_dir_all(&place).unwrap();
            for i in pictures {
                fs::write(place.join(format!("{i:02}.bmp")), bmp(20, i + 50 * class as u32)).unwrap();
            }
        }
    }
    folder
}

/// Exit code, stdout and stderr of the program in `folder`.
fn run(folder: &Path, words: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_densenet"));
    let output = command.args(words.split_whitespace()).current_dir(folder).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// What `data check --json` finds, and its exit code.
fn checked(folder: &Path) -> (Option<i32>, Value) {
    let (code, out, err) = run(folder, "data check set --json");
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}")))
}

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join("set").join(name)
}

#[test]
fn a_sound_folder_passes() {
    let folder = sound();
    let (code, found) = checked(folder.path());
    assert_eq!(code, Some(0), "{found}");
    assert_eq!(found["pictures"], serde_json::json!({"test": 4, "train": 24}));
    assert_eq!(found["classes"][1], serde_json::json!({"name": "cat", "test": 2, "train": 12}));
    let wrong = ["unreadable", "empty", "tiny", "conflicts", "leaks", "duplicates", "missing", "few"];
    for list in wrong.into_iter().chain(["refused", "alike", "notes"]) {
        assert_eq!(found[list], serde_json::json!([]), "{list}");
    }
    let (_, text, _) = run(folder.path(), "data check set");
    assert_eq!(text, "pictures: 24 train, 4 test; 2 classes\nnothing that would harm training\n");
}

#[test]
fn everything_that_is_wrong_is_found() {
    type Breaking = fn(&Path);
    let cases: [(&str, bool, &str, Breaking); 10] = [
        ("unreadable", true, "train/bird/a.bmp: ", |f| {
            fs::write(file(f, "train/bird/a.bmp"), b"BM and no more").unwrap()
        }),
        ("empty", true, "empty files: 1", |f| fs::write(file(f, "train/cat/b.bmp"), b"").unwrap()),
        ("tiny", false, "15x15, smaller than 16", |f| fs::write(file(f, "test/cat/c.bmp"), bmp(15, 99)).unwrap()),
        ("conflicts", true, "different labels: 1", |f| {
            fs::copy(file(f, "train/bird/03.bmp"), file(f, "train/cat/03b.bmp")).map(drop).unwrap();
        }),
        ("leaks", true, "held-out pictures that are also in the training part: 1", |f| {
            fs::copy(file(f, "train/bird/03.bmp"), file(f, "test/bird/d.bmp")).map(drop).unwrap();
        }),
        ("duplicates", false, "several times: 1", |f| {
            fs::copy(file(f, "train/bird/03.bmp"), file(f, "train/bird/e.bmp")).map(drop).unwrap();
        }),
        ("missing", true, "without a training picture: 1\n  dog", |f| fs::create_dir(file(f, "train/dog")).unwrap()),
        ("few", false, "dog: 1, fewer than 10", |f| {
            fs::create_dir(file(f, "train/dog")).unwrap();
            fs::write(file(f, "train/dog/f.bmp"), bmp(20, 98)).unwrap();
        }),
        ("refused", true, "refused by densenet train: 1\n  bird is its only class; a network", |f| {
            ["train", "test"].iter().for_each(|part| fs::remove_dir_all(file(f, part).join("cat")).unwrap());
        }),
        ("alike", false, "only in case or blanks: 1\n  \"bird\" and \"bird \"\n", |f| {
            fs::create_dir(file(f, "train/bird ")).unwrap();
            fs::write(file(f, "train/bird /g.bmp"), bmp(20, 97)).unwrap();
        }),
    ];
    for (list, harmful, words, breaking) in cases {
        let folder = sound();
        breaking(folder.path());
        let (code, found) = checked(folder.path());
        assert_eq!((code, &found["harmful"]), (Some(i32::from(harmful)), &harmful.into()), "{list}: {found}");
        assert_eq!(found[list].as_array().unwrap().len(), 1, "{list}: {found}");
        let (_, text, _) = run(folder.path(), "data check set");
        assert!(text.contains(words), "{list}: {text}");
    }
    let folder = sound();
    fs::copy(file(folder.path(), "train/bird/03.bmp"), file(folder.path(), "test/cat/g.bmp")).unwrap();
    let (_, found) = checked(folder.path());
    let (conflict, leak) = (&found["conflicts"][0], &found["leaks"][0]);
    assert!(conflict == leak && conflict["same_file"] == true, "{found}");
    assert_eq!(conflict["pictures"][0]["input"], "set/train/bird/03.bmp");
    assert_eq!(conflict["pictures"][1]["labels"], serde_json::json!(["cat"]));
}

/// What `train` refuses of a table, and what it only says.
#[test]
fn labels_of_a_table_are_looked_at() {
    let folder = sound();
    let row = |i: u8| format!("train/bird/{i:02}.bmp,1,{}\n", if i == 5 { 2 } else { i % 2 });
    let rows: String = (0..12).map(row).collect();
    fs::write(file(folder.path(), "t.csv"), format!("path,sea,sky\n{rows}")).unwrap();
    let (code, out, err) = run(folder.path(), "data check set/t.csv --json");
    let found: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    assert_eq!((code, &found["harmful"]), (Some(1), &true.into()), "{found}");
    assert_eq!(found["missing"], serde_json::json!([]));
    assert!(found["refused"][0].as_str().unwrap().starts_with("sea is 1 for all training pictures; "), "{found}");
    assert_eq!(found["notes"][0], "set/t.csv: the labels are sea; left out: sky");
    let stray = found["notes"][1].as_str().unwrap();
    assert!(stray.starts_with("set/t.csv: line 7: 2 in column sky, which is left out because of it"), "{found}");
    assert!(err.contains(stray), "{err}");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_no_picture() {
    let folder = sound();
    assert!(Command::new("mkfifo").arg(file(folder.path(), "pipe.bmp")).status().unwrap().success());
    let rows: String = (0..4).map(|i| format!("train/bird/{i:02}.bmp,bird\ntrain/cat/{i:02}.bmp,cat\n")).collect();
    fs::write(file(folder.path(), "t.csv"), format!("path,label\n{rows}pipe.bmp,cat\n")).unwrap();
    let (code, out, err) = run(folder.path(), "data check set/t.csv");
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains("cannot be read: 1\n  set/pipe.bmp: not a file, but a folder, a pipe or a device\n"), "{out}");
}

/// The same pixels in files that differ are found, too.
#[test]
fn pixels_count_not_files() {
    let folder = sound();
    let mut other = fs::read(file(folder.path(), "train/bird/03.bmp")).unwrap();
    other.extend(b"a trailer that no decoder reads");
    fs::write(file(folder.path(), "train/bird/h.bmp"), other).unwrap();
    let (code, found) = checked(folder.path());
    assert_eq!((code, &found["duplicates"][0]["same_file"]), (Some(0), &false.into()), "{found}");
    let (_, text, _) = run(folder.path(), "data check set");
    assert!(text.contains("03.bmp (train bird) = set/train/bird/h.bmp (train bird) by their pixels"), "{text}");
}

#[test]
fn a_sheet_shows_pictures_and_epochs() {
    let folder = sound();
    let sheet = |options: &str| {
        let (code, _, err) = run(folder.path(), &format!("data show set --size 32 --count 3 {options}"));
        assert_eq!(code, Some(0), "{err}");
        assert!(err.contains("3 pictures"), "{err}");
        image::open(folder.path().join("sheet.png")).unwrap().into_rgb8()
    };
    let all = "--color-jitter 0.4,0.4,0.4,0.1 --rand-augment 2,9 --random-erasing 0.5 --mixup 0.2 --cutmix 1";
    let (plain, augmented) = (sheet("--augment none"), sheet(all));
    // Six columns and three rows of 128 pixels, which is four times 32.
    assert_eq!((plain.dimensions(), augmented.dimensions()), ((8 + 6 * 136, 24 + 3 * 152), plain.dimensions()));
    let column =
        |sheet: &image::RgbImage, i: u32| image::imageops::crop_imm(sheet, 8 + i * 136, 24, 128, 456).to_image();
    assert_eq!(column(&plain, 0), column(&augmented, 0), "the pictures as they are");
    assert!((2..6).all(|i| column(&plain, i) == column(&plain, 1)), "nothing is random in them");
    assert!((2..6).all(|i| column(&augmented, i) != column(&augmented, 1)), "every epoch has its own");
    let later = sheet(&format!("{all} --epoch 3"));
    assert_eq!((column(&later, 1), column(&later, 3)), (column(&augmented, 3), column(&augmented, 5)));
    assert_eq!(sheet(&format!("{all} --threads 1")), augmented, "no thread changes it");
    assert_ne!(sheet(&format!("{all} --seed 1")), augmented);
}

#[test]
fn wrong_words_are_told() {
    let folder = sound();
    for (words, part) in [
        ("--color-jitter 1,2", "one number or four"),
        ("--color-jitter 0,0,0,0.7", "color_jitter.hue is 0.7; it must be from 0 to 0.5"),
        ("--rand-augment 2,99", "magnitude is 99; it must be from 0 to 30"),
        ("--random-erasing 2", "random_erasing is 2; it must be from 0 to 1"),
        ("--mixup 0.001", "mixup is 0.001; it must be 0 or from 0.01 to 100"),
        ("--size 0", "size is 0"),
        ("--augment turn", "resized-crop"),
        ("--out sheet.jpg", "--out sheet.jpg: the sheet is a PNG; name it FILE.png"),
    ] {
        let (code, _, err) = run(folder.path(), &format!("data show set {words}"));
        assert_eq!(code, Some(2), "{words}: {err}");
        assert!(err.contains(part), "{words}: {err}");
    }
}

#[test]
fn a_sheet_goes_without_pictures_that_cannot_be_read() {
    let folder = sound();
    fs::write(file(folder.path(), "train/bird/00.bmp"), b"BM").unwrap();
    let (code, _, err) = run(folder.path(), "data show set --count 3");
    assert!(code == Some(0) && err.contains("00.bmp") && err.contains("2 pictures"), "{err}");
    let (code, _, err) = run(folder.path(), "data show set --count 1");
    assert!(code == Some(1) && err.contains("none of 1 pictures can be read; densenet data check"), "{err}");
}
