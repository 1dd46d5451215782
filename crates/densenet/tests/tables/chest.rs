//! The chest X-ray sets, invented ones and, where PyPI's torchxrayvision is at hand, the published ones.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use densenet::data::{Blank, TableOptions, Targets, Uncertain};

use super::{Folder, labels, peers, whole};

const CHEXPERT: &str = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,\
    Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,\
    Support Devices\n";

/// A row of CheXpert's of that patient, whose 14 labels are `values`.
fn row(part: &str, patient: usize, view: usize, values: &str) -> String {
    let path = format!("CheXpert-v1.0-small/{part}/patient{patient:05}/study1/view{view}_frontal.jpg");
    format!("{path},Male,{},Frontal,PA,{values}\n", 40 + patient)
}

fn chexpert() -> Folder {
    let folder = Folder::new();
    for (part, patient, view) in [("train", 1, 1), ("train", 1, 2), ("train", 2, 1), ("train", 3, 1), ("valid", 9, 1)] {
        folder.write(&format!("{part}/patient{patient:05}/study1/view{view}_frontal.jpg"), "");
    }
    let rows = [
        row("train", 1, 1, "1.0,,,,,-1.0,,1.0,,0.0,,,,-1.0"),
        row("train", 1, 2, ",,,,,,,,-1.0,0.0,1.0,,,1.0"),
        row("train", 2, 1, ",,1.0,-1.0,,,,,,,,,1.0,"),
        row("train", 3, 1, "0.0,1.0,,,,,,,,,,,,0.0"),
    ];
    folder.write("train.csv", format!("{CHEXPERT}{}", rows.concat()));
    folder.write(
        "valid.csv",
        format!("{CHEXPERT}{}", row("valid", 9, 1, "0.0,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0,0.0,0.0")),
    );
    folder
}

#[test]
fn chexperts_columns_are_read() {
    let folder = chexpert();
    for name in ["train.csv", ""] {
        let set = folder.read(name);
        assert_eq!(set.train.classes()[8], "Effusion");
        assert_eq!(
            (labels(&set.train), labels(&set.test)),
            (
                ["000000000000?", "????????1??01", "?1???1???????", "????1???????0"].map(String::from).into(),
                vec!["0100000010000".into()],
            )
        );
        assert_eq!(folder.names(&set.train)[1], "train/patient00001/study1/view2_frontal.jpg");
        assert_eq!((set.train.groups(), set.test.part().to_string()), ([0, 0, 1, 2].as_slice(), "val".into()));
        assert!(set.notes.is_empty() && set.missing.is_empty(), "{:?} {:?}", set.notes, set.missing);
    }
    let options = TableOptions { uncertain: Uncertain::One, blank: Blank::Zero, ..TableOptions::default() };
    let set = folder.read_with("train.csv", &options);
    let expected = ["0000000000001", "1000000010001", "0100010100000", "0000100000000"];
    assert_eq!(labels(&set.train), expected);
    // Some of them, by the names of their columns.
    let options = TableOptions { label_columns: ["Pleural Effusion", "Fracture"].map(String::from).into(), ..options };
    let set = folder.read_with("train.csv", &options);
    assert_eq!(
        (set.train.classes(), labels(&set.train)),
        (["Effusion", "Fracture"].map(String::from).as_slice(), ["00", "10", "01", "00"].map(String::from).into(),)
    );
}

/// Healthy pictures have no other label, but they have this one.
#[test]
fn chexperts_no_finding_can_be_a_label() {
    let folder = chexpert();
    let names = ["No Finding", "Fracture"];
    let options = TableOptions { label_columns: names.map(String::from).into(), ..TableOptions::default() };
    let set = folder.read_with("train.csv", &options);
    assert_eq!(set.train.classes(), names);
    assert_eq!(labels(&set.train), ["10", "0?", "01", "0?"]);
    assert_eq!(labels(&set.test), ["00"]);
}

#[test]
fn chexperts_patients_stay_together() {
    let folder = chexpert();
    let other = row("valid", 1, 7, "0.0,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0,0.0,0.0");
    folder.write("valid.csv", format!("{CHEXPERT}{other}"));
    let message = folder.refusal("train.csv", &TableOptions::default());
    assert!(
        message.contains("valid.csv: line 2: patient00001 is in val, and in train in line 2 of train.csv"),
        "{message}"
    );
}

const NIH: &str = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position,\
    OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n";

fn nih() -> Folder {
    let pictures = [
        "images_001/images/1_000.png",
        "images_001/images/1_001.png",
        "images_002/images/2_000.png",
        "images_002/images/3_000.png",
    ];
    let folder = Folder::of(&pictures);
    let row = |name: &str, findings: &str, patient: usize| {
        format!("{name},{findings},0,{patient},58,M,PA,2682,2749,0.143,0.143\n")
    };
    let rows = [
        row("1_000.png", "Cardiomegaly|Effusion", 1),
        row("1_001.png", "No Finding", 1),
        row("2_000.png", "Hernia", 2),
        row("3_000.png", "Pleural_Thickening|Mass", 3),
    ];
    folder.write("Data_Entry_2017_v2020.csv", format!("{NIH}{}", rows.concat()));
    folder
}

#[test]
fn chest_xray14_is_read() {
    let folder = nih();
    let table = "Data_Entry_2017_v2020.csv";
    let all = whole(folder.read(table));
    assert_eq!(labels(&all), ["01001000000000", "00000000000000", "00000001000000", "00000000010100"]);
    assert_eq!(
        (all.groups(), folder.names(&all)[3].as_str()),
        ([0, 0, 1, 2].as_slice(), "images_002/images/3_000.png")
    );
    folder.write("train_val_list.txt", "1_000.png\n1_001.png\r\n3_000.png\n");
    folder.write("test_list.txt", "2_000.png");
    for name in [table, ""] {
        let set = folder.read(name);
        assert_eq!((set.train.len(), set.test.part().to_string()), (3, "test".into()));
        assert_eq!(folder.names(&set.test), ["images_002/images/2_000.png"]);
    }
    folder.write("test_list.txt", "2_000.png\n1_000.png\n");
    let message = folder.refusal(table, &TableOptions::default());
    assert_eq!(message, "train_val_list.txt: 1_000.png is in test_list.txt, too; a picture belongs to one part");
    folder.write("test_list.txt", "4_000.png\n");
    let message = folder.refusal(table, &TableOptions::default());
    assert!(message.contains("line 4: 2_000.png is neither in train_val_list.txt nor in test_list.txt"), "{message}");
    let text = fs::read_to_string(folder.path(table)).unwrap();
    folder.write(table, text.replace("|Effusion", "|Efusion"));
    let message = folder.refusal(table, &TableOptions::default());
    assert!(
        message.contains("line 2: \"Efusion\" is not a finding of ChestX-ray14; they are Atelectasis, "),
        "{message}"
    );
}

#[test]
fn chest_xray14s_folder_is_read_as_its_table() {
    let folder = nih();
    let labels_of = |folder: &Folder| labels(&whole(folder.read("")));
    let newer = labels_of(&folder);
    assert_eq!(newer[3], "00000000010100");
    fs::rename(folder.path("Data_Entry_2017_v2020.csv"), folder.path("Data_Entry_2017.csv")).unwrap();
    assert_eq!(labels_of(&folder), newer);
    // The newer edition is taken where both are there.
    let row = "1_000.png,Mass,0,1,58,M,PA,2682,2749,0.143,0.143\n2_000.png,Mass,0,2,58,M,PA,2682,2749,0.143,0.143\n";
    folder.write("Data_Entry_2017_v2020.csv", format!("{NIH}{row}"));
    assert_eq!(labels_of(&folder), ["00000000010000"; 2]);
}

#[test]
fn chest_xray14s_findings_can_be_chosen() {
    let folder = nih();
    let chosen = |names: &[&str]| TableOptions {
        label_columns: names.iter().map(|name| name.to_string()).collect(),
        ..TableOptions::default()
    };
    let all = whole(folder.read_with("", &chosen(&["Mass", "Cardiomegaly", " No Finding"])));
    assert_eq!(all.classes(), ["Mass", "Cardiomegaly", "No Finding"]);
    assert_eq!(labels(&all), ["010", "001", "000", "100"]);
    let message = folder.refusal("", &chosen(&["Mass", "Efusion"]));
    let expected = "no finding Efusion (--label-columns); ChestX-ray14's are Atelectasis, ";
    assert!(message.contains(expected), "{message}");
}

/// Both sets' published tables, which torchxrayvision carries, row by row.
#[test]
fn labels_are_torchxrayvisions() {
    let Some(python) = peers::python() else { return };
    for (name, rows, known) in [("chexpert", 223_414, 700_000), ("nih", 112_120, 14 * 112_120)] {
        let folder = Folder::new();
        let table = peers::printed(&python, "tests/tables/chest.py", &[Path::new(name), folder.0.path()]);
        if table.trim().is_empty() {
            println!("skipped: the environment has no torchxrayvision (pip install torchxrayvision)");
            return;
        }
        let all = whole(folder.read(table.trim()));
        let theirs = theirs(&folder);
        let Targets::Labels(ours) = all.targets() else { panic!("classes") };
        assert_eq!((all.len(), theirs.rows.len(), &theirs.names), (rows, rows, &all.classes().to_vec()), "{name}");
        for (path, row) in folder.names(&all).iter().zip(ours.chunks(theirs.names.len())) {
            assert_eq!(theirs.rows.get(path).map(Vec::as_slice), Some(row), "{path}");
        }
        let count = ours.iter().flatten().count();
        assert!(count >= known, "{name}: {count} labels are known");
        println!("{name}: {count} known labels of {rows} pictures are torchxrayvision's");
    }
}

/// What torchxrayvision makes of a table.
struct Theirs {
    names: Vec<String>,
    rows: HashMap<String, Vec<Option<bool>>>,
}

fn theirs(folder: &Folder) -> Theirs {
    let text = fs::read_to_string(folder.path("labels.txt")).unwrap();
    let mut lines = text.lines();
    let names = lines.next().unwrap().split('\t').map(String::from).collect();
    let known = |value| match value {
        '1' => Some(true),
        '0' => Some(false),
        _ => None,
    };
    let row = |line: &str| {
        let (path, values) = line.split_once('\t').unwrap();
        (path.to_owned(), values.chars().map(known).collect())
    };
    Theirs { names, rows: lines.map(row).collect() }
}
