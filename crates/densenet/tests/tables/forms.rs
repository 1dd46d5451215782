//! Every form of a table.

use std::fs;
use std::io::Write;

use densenet::data::{Blank, TableOptions, Uncertain};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Folder, labels, whole};

const PICTURES: [&str; 4] = ["p/a.jpg", "p/b.jpg", "p/c.jpg", "p/d.jpg"];

#[test]
fn a_path_and_a_class() {
    let folder = Folder::of(&PICTURES);
    let text = "\u{feff}Path , label\r\np/b.jpg,dog\r\n\"p/a.jpg\",cat\r\n./p/c.jpg, dog \r\np/../p/d.jpg,cat\r\n";
    folder.write("t.csv", text);
    let set = folder.read("t.csv");
    assert_eq!(set.train.classes(), ["cat", "dog"]);
    assert!(set.notes.is_empty() && set.missing.is_empty(), "{:?}", set.notes);
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text.as_bytes()).unwrap();
    folder.write("u.csv.gz", packed.finish().unwrap());
    for all in [whole(set), whole(folder.read("u.csv.gz"))] {
        assert_eq!((folder.names(&all), all.labels()), (PICTURES.map(String::from).into(), [0, 1, 1, 0].as_slice()));
    }
}

#[test]
fn classes_that_are_numbers_are_in_the_order_of_numbers() {
    let folder = Folder::of(&PICTURES);
    folder.write("t.csv", "file,target\np/a.jpg,10\np/b.jpg,9\np/c.jpg,10\np/d.jpg,9\n");
    assert_eq!(folder.read("t.csv").train.classes(), ["9", "10"]);
    folder.write("t.csv", "file,target\np/a.jpg,10\np/b.jpg,9\np/c.jpg,10\np/d.jpg,x\n");
    assert_eq!(folder.read("t.csv").train.classes(), ["10", "9", "x"]);
}

#[test]
fn a_column_of_parts() {
    let folder = Folder::of(&PICTURES);
    folder.write("t.csv", "image,class,Split\np/a.jpg,x,train\np/b.jpg,y,Valid\np/c.jpg,y,test\np/d.jpg,y,TRAIN\n");
    let set = folder.read("t.csv");
    assert_eq!(folder.names(&set.train), ["p/a.jpg", "p/d.jpg"]);
    assert_eq!(folder.names(set.validation.as_ref().unwrap()), ["p/b.jpg"]);
    assert_eq!((folder.names(&set.test), set.test.labels()), (vec!["p/c.jpg".into()], [1].as_slice()));
    assert_eq!(set.into_part(None).unwrap().len(), 1, "what is held out");
}

#[test]
fn several_columns_of_0_and_1() {
    let folder = Folder::of(&PICTURES);
    folder.write("t.csv", "file,sea,age,sky\np/a.jpg,1,31,\np/b.jpg,0.0,4,-1\np/c.jpg,nan,5,1.0\np/d.jpg,-1.0,6,0\n");
    let set = folder.read("t.csv");
    let path = folder.path("t.csv");
    assert_eq!(set.notes, [format!("{}: the labels are sea, sky; left out: age", path.display())]);
    assert_eq!(set.train.classes(), ["sea", "sky"]);
    assert!(set.train.labels().is_empty() && set.test.groups().is_empty());
    assert_eq!(labels(&whole(set)), ["1?", "0?", "?1", "?0"]);
    let with = |uncertain, blank| TableOptions { uncertain, blank, ..TableOptions::default() };
    let of = |options| labels(&whole(folder.read_with("t.csv", &options)));
    assert_eq!(of(with(Uncertain::Zero, Blank::Ignore)), ["1?", "00", "?1", "00"]);
    assert_eq!(of(with(Uncertain::One, Blank::Zero)), ["10", "01", "01", "10"]);
    folder.write("t.csv", ",path,sea\n0,p/a.jpg,1\n1,p/b.jpg,0\n");
    let expected = format!("{}: the labels are sea; left out: column 1 (unnamed)", path.display());
    assert_eq!(folder.read("t.csv").notes, [expected]);
}

#[test]
fn options_say_what_columns_do_not_tell() {
    let folder = Folder::of(&PICTURES);
    folder.write("t/t.csv", "id,path,file,label,kind\n1,a.jpg,x,0,s\n0,b.jpg,x,1,r\n1,c.jpg,x,0,s\n1,d.jpg,x,1,r\n");
    let images = Some(folder.path("p"));
    let named = |name: &str| Some(name.to_string());
    let path = TableOptions { images, path_column: named("path"), ..TableOptions::default() };
    let set = folder.read_with("t/t.csv", &path);
    assert_eq!(set.train.classes(), ["0", "1"]);
    let kinds = TableOptions { label_column: named("kind"), ..path.clone() };
    let all = whole(folder.read_with("t/t.csv", &kinds));
    assert_eq!((all.classes(), all.labels()), (["r", "s"].map(String::from).as_slice(), [1, 0, 1, 0].as_slice()));
    let several = TableOptions { label_columns: ["label", " id "].map(String::from).into(), ..path.clone() };
    let all = whole(folder.read_with("t/t.csv", &several));
    assert_eq!(
        (all.classes(), labels(&all)),
        (["label", "id"].map(String::from).as_slice(), ["01", "10", "01", "11"].map(String::from).into())
    );
    // `--images` may hold what the table's folder does not.
    let absolute = folder.path("p/a.jpg");
    folder.write("t/u.csv", format!("path,label\n{},x\np/b.jpg,x\nt/../p/c.jpg,y\n", absolute.display()));
    let set = folder.read_with("t/u.csv", &TableOptions { images: Some(folder.path("")), ..TableOptions::default() });
    assert_eq!(folder.names(&whole(set)), PICTURES[..3]);
}

#[test]
fn tables_of_parts_beside_each_other() {
    let folder = Folder::of(&PICTURES);
    folder.write("train.csv", "path,label\np/a.jpg,x\np/b.jpg,x\n");
    let alone = folder.read("train.csv");
    assert_eq!((alone.train.len(), alone.test.len()), (1, 1));
    folder.write("valid.csv", "path,label\np/c.jpg,x\n");
    folder.write("test.csv", "path\np/d.jpg\n");
    for name in ["train.csv", "."] {
        let set = folder.read(name);
        assert_eq!((set.train.len(), set.validation.is_none(), set.test.part().to_string()), (2, true, "val".into()));
        assert!(set.notes[0].ends_with("test.csv has no labels and is skipped"), "{:?}", set.notes);
    }
    folder.write("test.csv", "path,label\np/d.jpg,x\n");
    let set = folder.read("");
    assert_eq!((set.validation.unwrap().len(), folder.names(&set.test)), (1, vec!["p/d.jpg".into()]));
}

#[test]
fn hugging_faces_folders() {
    let folder = Folder::of(&["train/a.png", "train/b.png", "test/c.png"]);
    folder.write("metadata.csv", "file_name,label\ntrain/a.png,x\ntrain/b.png,y\ntest/c.png,y\n");
    let set = folder.read("");
    assert_eq!((set.train.len(), folder.names(&set.test)), (2, vec!["test/c.png".into()]));
    fs::remove_file(folder.path("metadata.csv")).unwrap();
    folder.write(
        "train/metadata.jsonl",
        "\u{feff}{\"file_name\": \"a.png\", \"label\": 1}\n\n{\"label\": 0, \"file_name\": \"b.png\"}\n",
    );
    folder.write("test/metadata.jsonl", "{\"file_name\": \"c.png\", \"label\": 0, \"text\": null}\n");
    let set = folder.read("");
    assert_eq!(
        (folder.names(&set.train), set.train.labels()),
        (vec!["train/a.png".into(), "train/b.png".into()], [1, 0].as_slice())
    );
    assert_eq!((set.test.part().to_string(), set.test.labels()), ("test".into(), [0].as_slice()));
}

#[test]
fn pictures_outside_hugging_faces_parts_are_counted() {
    let folder = Folder::of(&["train/a.png", "train/b.png", "extra/c.png", "d.png", "test/e.png"]);
    folder
        .write("metadata.csv", "file_name,label\ntrain/a.png,x\ntrain/b.png,y\nextra/c.png,z\nd.png,x\ntest/e.png,y\n");
    let set = folder.read("");
    assert_eq!((set.train.len(), set.test.len(), set.train.classes()), (2, 1, ["x", "y"].map(String::from).as_slice()));
    let (table, first) = (folder.path("metadata.csv"), folder.path("extra/c.png"));
    let outside = "outside the folders train, val (valid, validation) and test, and left out";
    let expected = format!("{}: 2 of 5 pictures are {outside}, as {} in line 4", table.display(), first.display());
    assert_eq!(set.notes, [expected]);
}

#[test]
fn a_folder_of_classes_with_captions_stays_one() {
    let folder = Folder::of(&["x/a.png", "x/b.png", "y/c.png", "y/d.png"]);
    folder.write("metadata.csv", "file_name,text\nx/a.png,a duck\n");
    let set = folder.read("");
    assert_eq!(set.train.classes(), ["x", "y"]);
    assert!(set.notes[0].ends_with("metadata.csv lists no labelled pictures and is skipped"), "{:?}", set.notes);
}

/// What is no file is not there, and nothing waits for it.
#[cfg(unix)]
#[test]
fn a_pipe_and_a_folder_are_no_pictures() {
    use std::process::Command;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;
    let folder = Folder::of(&PICTURES[..2]);
    fs::create_dir(folder.path("p/c.jpg")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.path("p/d.jpg")).status().unwrap().success());
    folder.write("t.csv", "path,label\np/a.jpg,x\np/b.jpg,y\np/c.jpg,y\np/d.jpg,x\n");
    let set = folder.read("t.csv");
    assert_eq!(set.missing, ["p/c.jpg", "p/d.jpg"].map(|name| folder.path(name)));
    let (all, (tell, hear)) = (whole(set), channel());
    thread::spawn(move || [2, 3].map(|index| tell.send(all.picture(index).unwrap_err().to_string())));
    for _ in 0..2 {
        let message = hear.recv_timeout(Duration::from_secs(20)).expect("nothing is waited for");
        assert!(message.ends_with(".jpg: not a file, but a folder, a pipe or a device"), "{message}");
    }
}

#[test]
fn missing_pictures_are_counted() {
    let folder = Folder::of(&PICTURES[..2]);
    folder.write("t.csv", "path,label\np/a.jpg,x\np/c.jpg,y\np/b.jpg,y\np/d.jpg,x\n");
    let set = folder.read("t.csv");
    assert_eq!(set.missing, ["p/c.jpg", "p/d.jpg"].map(|name| folder.path(name)));
    assert!(set.notes[0].contains("t.csv: 2 of 4 pictures are missing, as "), "{:?}", set.notes);
    assert_eq!(whole(set).len(), 4, "whoever trains decides");
}
