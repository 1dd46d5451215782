//! Pictures and folders as people have them, from end to end.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::folder::Folder;

/// A folder to work in.
struct World(Folder);

works_in_its_folder!(World);

impl World {
    fn new() -> Self {
        Self(Folder::new())
    }

    /// A grey picture of 8x8, as PGM.
    fn picture(&self, name: &str, grey: u8) {
        self.write(name, [b"P5 8 8 255\n".as_slice(), &[grey; 64]].concat());
    }
}

/// A picture that the library's tests hold to PIL.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../densenet/tests/goldens/pictures").join(name)
}

/// A network of 3 channels and 5 classes with a 7x7 stem, whose last block is of 1x1 for pictures of 16x16.
fn tiny() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../densenet/tests/goldens/checkpoints/torchvision.pth");
    format!("--init {} --size 16", file.display())
}

const PREDICT: &str = "predict --weights fashion-mnist";

#[test]
fn what_is_hidden_is_passed_over() {
    let world = World::new();
    world.picture("pictures/a.pgm", 9);
    world.write("pictures/._a.png", b"8 bytes.");
    world.picture("pictures/.ipynb_checkpoints/a.pgm", 9);
    let (out, err) = world.exits(0, &format!("{PREDICT} pictures"));
    assert!(out.starts_with("pictures/a.pgm: ") && out.lines().count() == 1, "{out}");
    assert!(!err.contains("left out"), "{err}");
}

#[test]
fn one_unreadable_input_costs_none_of_the_others() {
    let world = World::new();
    (0..5).for_each(|i| world.picture(&format!("pictures/{i}.pgm"), 50 * i));
    world.write("pictures/2.jpg", b"");
    world.write("pictures/notes.txt", b"no picture");
    fs::create_dir(world.path("empty")).unwrap();
    let words = format!("{PREDICT} pictures empty gone.png none.npy --batch 2");
    let (out, err) = world.exits(1, &words);
    let inputs: Vec<&str> = out.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(inputs, [0, 1, 2, 3, 4].map(|i| format!("pictures/{i}.pgm")));
    for part in [
        "pictures: left out files that are not pictures (.txt: 1)\n",
        "densenet: error: pictures/2.jpg: an empty file, not a picture\n",
        "densenet: error: empty: no pictures in it; files ending in jpg, ",
        "densenet: error: gone.png: No such file",
        "densenet: error: none.npy: No such file",
        "4 of 9 inputs could not be read\n",
    ] {
        assert!(err.contains(part), "{part:?} is not in {err}");
    }
    let (out, _) = world.exits(1, &format!("{words} --json --logits out.npy"));
    let object: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(object["predictions"].as_array().unwrap().len(), 5);
    let unreadable: Vec<&str> =
        object["unreadable"].as_array().unwrap().iter().map(|input| input["input"].as_str().unwrap()).collect();
    assert_eq!(unreadable, ["empty", "none.npy", "pictures/2.jpg", "gone.png"]);
    assert_eq!(object["unreadable"][2]["reason"], "an empty file, not a picture");
    // Each picture has its row among the logits, in the order of the inputs.
    let logits = fs::read(world.path("out.npy")).unwrap();
    assert!(String::from_utf8_lossy(&logits[..128]).contains("(7, 10"), "{logits:?}");
    let values: Vec<f32> = logits[128..].chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let broken: Vec<bool> = values.chunks(10).map(|row| row.iter().all(|value| value.is_nan())).collect();
    assert_eq!(broken, [false, false, true, false, false, false, true]);
    let none: Value = serde_json::from_str(&world.exits(1, &format!("{PREDICT} empty --json")).0).unwrap();
    assert_eq!(none["predictions"], serde_json::json!([]));
}

#[test]
fn every_format_is_predicted_and_a_limit_can_be_set() {
    let world = World::new();
    for name in ["cmyk-60-1.jpg", "cmyk-64-2.jpg", "deep-cmyk.tif", "text.pgm", "bitmap.ico", "large-2.jpg"] {
        fs::copy(golden(name), world.path(name)).unwrap();
    }
    let words = format!("{PREDICT} cmyk-60-1.jpg cmyk-64-2.jpg deep-cmyk.tif text.pgm bitmap.ico large-2.jpg");
    let (whole, err) = world.exits(0, &words);
    assert_eq!((whole.lines().count(), &*err), (6, ""));
    let (out, err) = world.exits(1, &format!("{words} --max-pixels 713"));
    assert_eq!(out.lines().count(), 2 + 1, "{out} {err}");
    assert!(err.contains("bitmap.ico: 32x32 is 1024 pixels; at most 713 are decoded (--max-pixels)"), "{err}");
    assert!(out.contains("large-2.jpg: ") && !whole.contains(out.lines().last().unwrap()), "at a half: {out}");
}

#[test]
fn a_table_is_gone_on_with_where_a_kill_left_it() {
    let world = World::new();
    (0..7).for_each(|i| world.picture(&format!("p/{i}, \"x\".pgm"), 30 * i));
    for (table, head) in [
        ("t.csv", "path,label,probability,label_2,probability_2,distance,unlike\n\"p/0, \"\"x\"\".pgm\","),
        ("t.jsonl", "{"),
    ] {
        let words = format!("{PREDICT} p --top 2 --out {table} --batch 2");
        let (out, err) = world.exits(0, &words);
        assert_eq!((&*out, &*err), ("", "7 inputs predicted\n"));
        let whole = world.text(table);
        assert!(whole.starts_with(head), "{whole}");
        assert!(world.exits(1, &words).1.contains("the file already exists; --resume continues it"));
        for cut in [0, 10, whole.len() / 2, whole.len() - 1] {
            world.write(table, &whole[..cut]);
            world.exits(0, &format!("{words} --resume"));
            assert_eq!(world.text(table), whole, "cut at {cut}");
        }
        let (_, err) = world.exits(0, &format!("{words} --resume"));
        assert!(world.text(table) == whole && err == "0 inputs predicted\n", "{err}");
    }
    let record: Value = serde_json::from_str(world.text("t.jsonl").lines().next().unwrap()).unwrap();
    assert_eq!((&record["path"], &record["label"]), (&"p/0, \"x\".pgm".into(), &record["classes"][0]["label"]));
    assert_eq!(record["classes"].as_array().unwrap().len(), 2);
    let object: Value = serde_json::from_str(&world.exits(0, &format!("{PREDICT} p --out u.csv --json")).0).unwrap();
    assert_eq!(object, serde_json::json!({ "predicted": 7, "unreadable": [] }));
    let other = world.exits(1, &format!("{PREDICT} p --out t.csv --resume --top 1")).1;
    assert!(other.contains("t.csv: its columns are path,label,probability,label_2,"), "{other}");
    world.write("t.jsonl", "{\"path\":\"a\"}\nhello\n");
    let other = world.exits(1, &format!("{PREDICT} p --out t.jsonl --resume")).1;
    assert!(other.contains("t.jsonl: line 2: not a prediction"), "{other}");
    assert!(world.exits(2, &format!("{PREDICT} p --out t.txt")).1.contains("ends in .csv or .jsonl"));
    world.exits(2, &format!("{PREDICT} p --resume"));
}

#[test]
fn shards_take_every_input_once() {
    let world = World::new();
    (0..12).for_each(|i| world.picture(&format!("p/{i:02}.pgm"), 20 * i));
    let whole = world.exits(0, &format!("{PREDICT} p")).0;
    for shards in [1, 2, 5] {
        let mut lines: Vec<String> = Vec::new();
        for shard in 1..=shards {
            let (out, _) = world.exits(0, &format!("{PREDICT} p --shard {shard}/{shards}"));
            assert!(shards == 5 || out.lines().count() > 1, "{out}");
            lines.extend(out.lines().map(String::from));
        }
        lines.sort();
        assert_eq!(lines, whole.lines().collect::<Vec<_>>(), "{shards} shards");
    }
    for wrong in ["0/3", "4/3", "1", "a/b"] {
        assert!(world.exits(2, &format!("{PREDICT} p --shard {wrong}")).1.contains("I from 1 to N"));
    }
}

#[test]
fn pictures_that_are_not_stored_upright_are_counted_once() {
    let world = World::new();
    for class in ["a", "b"] {
        (0..4).for_each(|i| world.picture(&format!("set/{class}/{i}.pgm"), 60 * i));
    }
    for name in ["turned-1.png", "turned-3.png", "turned-6.jpg", "turned-6.tif"] {
        fs::copy(golden(name), world.path(&format!("set/a/{name}"))).unwrap();
    }
    let said = "2 pictures are not stored upright according to EXIF; they are read as stored, as torchvision does; \
                --orientation apply turns them upright\n";
    let train = format!("train {} --data set --batch 4 --epochs 2 --threads 1", tiny());
    // Of weights outside of their run's folder all pictures are evaluated.
    let eval = "eval --weights last.safetensors --data set";
    for words in [format!("{train} --out run"), eval.into(), format!("{PREDICT} set --batch 3")] {
        if words.starts_with("eval") {
            fs::copy(world.path("run/last.safetensors"), world.path("last.safetensors")).unwrap();
        }
        assert_eq!(world.exits(0, &words).1.matches(said).count(), 1, "{words}");
        let words = words.replace("--out run", "--out upright") + " --orientation apply";
        assert!(!world.exits(0, &words).1.contains("EXIF"), "{words}");
    }
    let card = world.exits(0, "info upright/last.safetensors --json").0;
    assert!(card.contains(r#""orientation":"apply""#), "{card}");
    let err = world.exits(2, "train --resume run --orientation apply").1;
    assert!(err.contains("begun differently (decoding.orientation: \"ignore\", now \"apply\")"), "{err}");
    let one = world.exits(0, &format!("{PREDICT} set/a/turned-3.png")).1;
    assert!(one.contains("1 picture is not stored upright according to EXIF; it is read as stored"), "{one}");
}

#[test]
fn transparency_and_deep_grey_become_what_options_and_cards_say() {
    let world = World::new();
    let weights = "predict --weights fashion-mnist";
    for (name, rules) in [
        ("rgba.png", ["--transparency drop", "--transparency white", "--transparency black"]),
        ("deep.tif", ["--grey16 high-byte", "--grey16 clip", "--transparency white --grey16 clip"]),
    ] {
        fs::copy(golden("../flattening").join(name), world.path(name)).unwrap();
        let predictions = rules.map(|rule| world.exits(0, &format!("{weights} {rule} {name}")).0);
        assert_eq!(world.exits(0, &format!("{weights} {name}")).0, predictions[0], "{name}");
        assert_ne!(predictions[0], predictions[1], "{name}");
        assert_eq!(predictions[1] == predictions[2], name == "deep.tif", "{name}");
        world.exits(0, &format!("export --weights fashion-mnist {} --format densenet --out w.safetensors", rules[1]));
        assert_eq!(world.exits(0, &format!("predict --weights w.safetensors {name}")).0, predictions[1], "{name}");
    }
    assert!(world.exits(0, "info w.safetensors").0.contains(", 16-bit grey clipped at 255, --mean "));
    world.exits(2, &format!("{weights} rgba.png --transparency grey"));
}

/// Twenty pictures of each of two of Fashion-MNIST's classes, and a class of none.
fn classes(world: &World, folder: &str) {
    for class in ["Bag", "Coat"] {
        (0..20).for_each(|i| world.picture(&format!("{folder}/{class}/{i}.pgm"), 12 * i));
    }
    fs::create_dir_all(world.path(folder).join("Sandal")).unwrap();
}

#[test]
fn a_folder_of_classes_is_scored_whole_and_matched_by_name() {
    let world = World::new();
    classes(&world, "set");
    let words = "eval --weights fashion-mnist --data set --json";
    let score = |options: &str, code| -> Value {
        serde_json::from_str(&world.exits(code, &format!("{words} {options}")).0).unwrap()
    };
    assert_eq!(score("", 0)["images"], 40);
    assert_eq!(score("--part test", 0)["images"], 4);
    assert_eq!(score("--part train", 0)["images"], 36);
    assert!(world.exits(1, &format!("{words} --part val")).1.contains("no part val; it has train and test"));
    // As many as all of them are taken for coats, whatever the place of that class in the folder.
    let coats = world.exits(0, &format!("{PREDICT} set/Coat --top 1")).0.matches(": Coat ").count();
    let bags = world.exits(0, &format!("{PREDICT} set/Bag --top 1")).0.matches(": Bag ").count();
    assert_eq!(score("", 0)["correct"], coats + bags);
    world.write("set/Coat/20.png", b"");
    let (out, err) = world.exits(1, words);
    let evaluation: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&evaluation["images"], &evaluation["unreadable"][0]["input"]), (&40.into(), &"set/Coat/20.png".into()));
    assert!(err.contains("error: set/Coat/20.png: an empty file") && err.contains("1 of 41 inputs could"), "{err}");
    world.picture("set/Scarf/1.pgm", 1);
    let err = world.exits(1, words).1;
    assert!(err.contains("set has a class Scarf, which is not among the 10 that these weights know"), "{err}");
}

#[test]
fn validation_chooses_and_test_is_seen_once() {
    let world = World::new();
    for (part, count) in [("train", 8), ("valid", 3), ("test", 2)] {
        for class in ["a", "b"] {
            (0..count).for_each(|i| world.picture(&format!("set/{part}/{class}/{i}.pgm"), 25 * i));
        }
    }
    let words = format!("train {} --data set --batch 8 --epochs 2 --threads 1", tiny());
    let (out, err) = world.exits(0, &format!("{words} --out run"));
    assert!(err.contains("16 for training, 6 for validation and 4 for testing in 2 classes"), "{err}");
    assert!(err.contains("; val loss "), "{err}");
    assert!(
        out.contains("; best by val accuracy ") && out.contains("test, seen once and after all choices: accuracy "),
        "{out}"
    );
    let log = world.text("run/log.jsonl");
    assert!(log.contains("\"val_top1\":") && !log.contains("test"), "{log}");
    // A test folder that nobody has labelled.
    fs::remove_dir_all(world.path("set/test")).unwrap();
    world.picture("set/test/x.pgm", 1);
    let (out, err) = world.exits(0, &format!("{words} --out other"));
    assert!(err.contains("set/test has no class folders and is skipped"), "{err}");
    assert!(out.contains("; best by val accuracy ") && !out.contains("test"), "{out}");
}

#[test]
fn what_is_left_of_an_epoch_joins_its_last_batch() {
    let world = World::new();
    (0..9).for_each(|i| world.picture(&format!("set/train/{}/{i}.pgm", i % 2), 25 * i));
    (0..2).for_each(|i| world.picture(&format!("set/test/{i}/{i}.pgm"), 25 * i));
    let words = format!("train {} --data set --epochs 2 --threads 1 --val-fraction 0", tiny());
    let (_, err) = world.exits(0, &format!("{words} --batch 8 --out run"));
    assert!(err.contains("2 steps of 8 pictures (the last of an epoch of 9: the remainder is too small"), "{err}");
    assert_eq!(world.text("run/log.jsonl").matches("\"step\"").count(), 2);
    world.exits(0, "train --resume run --epochs 3");
    assert_eq!(world.text("run/log.jsonl").matches("\"step\"").count(), 3);
    let err = world.exits(2, &format!("{words} --batch 1 --out other")).1;
    assert!(err.contains("9 pictures in batches of 1") && err.contains("a single value per channel"), "{err}");
    assert!(!world.path("other").exists(), "known before the first step");
}

/// The loss of the first step of a run from given weights on folders of five classes, one picture in each.
fn first_loss(world: &World, options: &str) -> String {
    let _ = fs::remove_dir_all(world.path("run"));
    let words = format!("train {} --data set --batch 10 --max-steps 1 --threads 1 --no-shuffle --out run", tiny());
    // The seed says which pictures are held out, too.
    world.exits(0, &format!("{words} --val-fraction 0 {options}"));
    let log: Value = serde_json::from_str(world.text("run/log.jsonl").lines().next().unwrap()).unwrap();
    log["loss"].to_string()
}

#[test]
fn pictures_can_be_trained_on_without_random_changes() {
    let world = World::new();
    let ramp =
        |turn: usize| [b"P5 8 8 255\n".as_slice(), &(0..64).map(|i| (i * 4 / turn) as u8).collect::<Vec<_>>()].concat();
    for class in 0..5 {
        (0..3).for_each(|i| world.write(&format!("set/{class}/{i}.pgm"), ramp(1 + class + i)));
    }
    assert_eq!(first_loss(&world, "--augment none --seed 1"), first_loss(&world, "--augment none --seed 2"));
    assert_ne!(first_loss(&world, "--seed 1"), first_loss(&world, "--seed 2"), "the usual is a random part, mirrored");
}

#[test]
fn a_picture_of_the_inputs_size_can_be_taken_whole() {
    let world = World::new();
    let pixels: Vec<u8> = (0..64 * 64).map(|i| (i * 7 % 251) as u8).collect();
    world.write("a.pgm", [b"P5 64 64 255\n".as_slice(), &pixels].concat());
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 64, 64), }";
    let header = format!("{header:<117}\n");
    let values: Vec<u8> = pixels.iter().flat_map(|&v| ((f32::from(v) / 255.0 - 0.5) / 0.25).to_le_bytes()).collect();
    let array = [b"\x93NUMPY\x01\x00", &118u16.to_le_bytes()[..], header.as_bytes(), &values.repeat(3)];
    world.write("a.npy", array.concat());
    let weights = golden("../checkpoints/torchvision.pth");
    let logits = |input: &str, options: &str| {
        let prepared = format!("--preset imagenet --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25 --size 64 {options}");
        world.exits(0, &format!("predict --weights {} {input} {prepared} --logits l.npy", weights.display()));
        fs::read(world.path("l.npy")).unwrap()
    };
    let whole = logits("a.npy", "");
    assert_eq!(logits("a.pgm", "--crop-fraction 1"), whole);
    assert_eq!(logits("a.pgm", "--crop-fraction 1 --interpolation bicubic --resize squash"), whole);
    assert_ne!(logits("a.pgm", ""), whole, "resized to 73 and cropped");
}

#[test]
fn a_run_goes_on_without_a_picture_that_cannot_be_read() {
    let world = World::new();
    for class in ["a", "b"] {
        (0..10).for_each(|i| world.picture(&format!("set/{class}/{i}.pgm"), 25 * i));
        world.write(&format!("set/{class}/broken.jpg"), b"");
    }
    let words = format!("train {} --data set --batch 4 --epochs 2 --threads 1 --max-bad 0.2 --out run", tiny());
    let (_, err) = world.exits(0, &words);
    for class in ["a", "b"] {
        let line = format!("densenet: warning: set/{class}/broken.jpg: an empty file, not a picture; the run goes on");
        assert_eq!(err.matches(&line).count(), 1, "once for all epochs: {err}");
    }
    assert!(err.contains("2 of 18 inputs could not be read"), "{err}");
    for i in 0..10 {
        ["a", "b"].iter().for_each(|class| world.write(&format!("set/{class}/{i}.pgm"), b""));
    }
    let err = world.exits(1, &words.replace("--out run", "--out other")).1;
    assert!(
        err.contains("none of the 4 pictures of a batch can be read") && !err.contains("last good weights"),
        "{err}"
    );
    fs::remove_file(world.path("set/a/broken.jpg")).unwrap();
    (0..10).for_each(|i| fs::remove_file(world.path(&format!("set/a/{i}.pgm"))).unwrap());
    let err = world.exits(1, &words.replace("--out run", "--out third")).1;
    assert!(err.contains("set: no training pictures of a; a class needs at least one"), "{err}");
}

#[test]
fn names_of_classes_may_be_of_any_editor() {
    let world = World::new();
    world.picture("a.pgm", 1);
    let names: Vec<String> = (0..10).map(|class| format!("kind {class}")).collect();
    world.write("names.txt", format!("\u{feff}{}\r\n\r\n", names.join("\r\n")));
    let out = world.exits(0, "predict --weights fashion-mnist --top 10 --labels names.txt a.pgm").0;
    let labels = out.trim_start_matches("a.pgm: ").split(';').next().unwrap().split(", ");
    let mut found: Vec<&str> = labels.map(|class| class.rsplitn(3, ' ').last().unwrap()).collect();
    found.sort();
    assert_eq!(found, names, "{out}");
}

/// The lines of stderr that say how many pictures are for what.
fn parts(err: &str) -> &str {
    err.lines().find(|line| line.contains(" for training")).unwrap_or_else(|| panic!("{err}"))
}

#[test]
fn a_run_on_a_table_goes_on_with_the_very_same_pictures() {
    let world = World::new();
    let mut table = String::from("file_name,label,burst\n");
    for i in 0..24 {
        world.picture(&format!("p/{i}.pgm"), 10 * i);
        table += &format!("{i}.pgm,{},b{}\n", ["x", "y"][usize::from(i) / 12], i / 2);
    }
    world.write("t.csv", &table);
    let words = format!("train {} --data t.csv --batch 8 --epochs 1 --threads 1", tiny());
    assert!(world.exits(1, &words).1.contains("t.csv: none of its pictures exist, as 0.pgm; name the folder"));
    world.exits(2, &format!("{words} --label-column label --label-columns burst"));
    let (_, err) = world.exits(0, &format!("{words} --images p --group-by burst --out run"));
    let begun = parts(&err).to_owned();
    let split = world.text("run/split.csv");
    assert!(split.starts_with("picture,part\n") && split.lines().count() == 25, "{split}");
    for burst in 0..12 {
        let of = |i: usize| split.lines().find_map(|line| line.strip_prefix(&format!("{i}.pgm,"))).unwrap();
        assert_eq!(of(2 * burst), of(2 * burst + 1), "{split}");
    }
    assert!(world.text("run/recipe.toml").contains("group_by = \"burst\""));
    world.picture("p/24.pgm", 9);
    world.write("t.csv", table + "24.pgm,x,b0\n");
    let (_, err) = world.exits(0, "train --resume run --epochs 2");
    assert_eq!(parts(&err), begun);
    let of_test = split.lines().filter(|line| line.ends_with(",test")).count();
    let (out, _) = world.exits(0, "eval --weights run/best.safetensors --data t.csv --images p --json");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["images"], of_test);
}

#[test]
fn a_run_goes_on_without_a_picture_that_is_gone_and_a_class_that_came() {
    let world = World::new();
    for class in ["a", "b"] {
        (0..10).for_each(|i| world.picture(&format!("set/{class}/{i}.pgm"), 25 * i));
    }
    let words = format!("train {} --data set --batch 4 --epochs 1 --threads 1 --out run", tiny());
    let begun = parts(&world.exits(0, &words).1).to_owned();
    let split = world.text("run/split.csv");
    let gone = split.lines().find_map(|line| line.strip_suffix(",train")).unwrap();
    fs::remove_file(world.path("set").join(gone)).unwrap();
    (0..3).for_each(|i| world.picture(&format!("set/c/{i}.pgm"), 25 * i));
    let (_, err) = world.exits(0, "train --resume run --epochs 2 --max-bad 0.5");
    assert_eq!(parts(&err), begun);
    assert!(err.contains(&format!("warning: set/{gone}: ")) && err.contains("; the run goes on"), "{err}");
    let err = world.exits(1, "train --resume run --epochs 3 --max-bad 0").1;
    assert!(err.contains("including it, 1 of 16 training pictures cannot be read"), "{err}");
}

#[test]
fn too_few_pictures_are_no_wrong_setting() {
    let world = World::new();
    ["a/1", "a/2", "b/1", "b/2"].iter().for_each(|name| world.picture(&format!("set/{name}.pgm"), 1));
    let words = format!("train {} --data set --batch 2 --epochs 1 --threads 1 --out run", tiny());
    let err = world.exits(1, &words).1;
    assert!(err.contains("data set set: no class has two training pictures, one of which could be held out"), "{err}");
    world.exits(0, &format!("{words} --val-fraction 0"));
}

#[test]
fn a_table_of_labels_is_trained_on() {
    let world = World::new();
    let mut table = String::from("path,sea,sky,split\n");
    for i in 0..20 {
        world.picture(&format!("{i}.pgm"), 12 * i);
        let sky = ["0", "1", "-1", ""][usize::from(i) % 4];
        table +=
            &format!("{i}.pgm,{},{sky},{}\n", i % 2, ["train", "train", "train", "val", "test"][usize::from(i) / 4]);
    }
    world.write("t.csv", &table);
    let words = format!("train {} --data t.csv --batch 6 --epochs 1 --threads 1", tiny());
    let (_, err) = world.exits(0, &format!("{words} --out run"));
    assert!(err.contains("t.csv: the labels are sea, sky\n"), "{err}");
    assert!(err.contains("12 for training, 4 for validation and 4 for testing"), "{err}");
    world.write("t.csv", table.replace(",0,train", ",,train").replace(",1,train", ",-1,train"));
    let err = world.exits(1, &format!("{words} --out other")).1;
    assert!(
        err.contains("sky is known for no training picture; a label is learnt from pictures with and without it"),
        "{err}"
    );
    world.write("t.csv", table.replace("\n7.pgm,1,", "\n7.pgm,2,"));
    let err = world.exits(1, &format!("{words} --label-columns sea,sky --out other")).1;
    assert!(err.contains("t.csv: line 9: 2 in column sea; a label is 1 or 0, -1 if uncertain"), "{err}");
}
