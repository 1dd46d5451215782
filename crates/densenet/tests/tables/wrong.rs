//! What is wrong with a table, and what would be right.

use densenet::data::{DataSet, TableOptions};

use super::Folder;

#[test]
fn tables_that_do_not_tell_what_is_what() {
    let folder = Folder::of(&["a.jpg"]);
    let cases: [(&[u8], &str); 12] = [
        (b"", "t.csv: no rows; a table has a header and a row a picture"),
        (b"path,label\n", "t.csv: no rows; a table has a header and a row a picture"),
        (b"path,label,label\na.jpg,x,y\n", "t.csv: two columns are called label; names must differ"),
        (b"name,label\na.jpg,x\n", "no column of paths (path, file, filename, "),
        (b"name,label\na.jpg,x\n", "; name one with --path-column; its columns are name, label"),
        (
            b"path,file,label\na.jpg,a.jpg,x\n",
            "the columns path and file may each hold the path; say which with --path-column",
        ),
        (
            b"path,label,class\na.jpg,x,y\n",
            "the columns label and class may each hold the class; say which with --label-column",
        ),
        (
            b"path,kind\na.jpg,x\n",
            "no column tells what the pictures show; name a column of classes with --label-column, or columns of 0 and 1 with --label-columns; its columns are path, kind",
        ),
        (b"path,kind\na.jpg,nan\n", "no column tells what the pictures show"),
        (
            b"path,label\n\na.jpg,x\nb.jpg\n",
            "t.csv: line 4: the number of values is 1, that of columns 2; a value with a comma in it stands in quotes",
        ),
        (b"path,label\na.jpg,x\nb,c.jpg,x\n", "t.csv: line 3: the number of values is 3, that of columns 2"),
        (b"path,label\na.jpg,x\nb\xff.jpg,x\n", "t.csv: line 3: not UTF-8"),
    ];
    for (text, expected) in cases {
        folder.write("t.csv", text);
        let message = folder.refusal("t.csv", &TableOptions::default());
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
}

#[test]
fn rows_that_cannot_be_taken() {
    let folder = Folder::of(&["a.jpg", "b.jpg"]);
    let cases = [
        ("path,label\na.jpg,x\n,y\n", "line 3: no path; each row names a picture"),
        (
            "path,label\na.jpg,x\nb.jpg,\n",
            "line 3: no class in column label; give the picture one, or take its row out",
        ),
        ("path,label\na.jpg,NaN\nb.jpg,y\n", "line 2: no class in column label"),
        (
            "path,label\na.jpg,x\n../b.jpg,y\n",
            "line 3: ../b.jpg lies outside FOLDER; name a folder that holds all pictures with --images",
        ),
        ("path,label\na.jpg,x\n/etc/passwd,y\n", "line 3: /etc/passwd lies outside FOLDER"),
        ("path,label\na.jpg,x\nb/../../a.jpg,y\n", "line 3: b/../../a.jpg lies outside"),
        ("path,label\na.jpg,x\nb.jpg,y\n./a.jpg,y\n", "line 4: a.jpg stands in line 2 already; a picture has one row"),
        (
            "path,label,split\na.jpg,x,train\nb.jpg,y,3\n",
            "line 3: \"3\" in column split; a part is train, val (valid, validation) or test",
        ),
        (
            "path,label,split\na.jpg,x,val\nb.jpg,y,test\n",
            "t.csv: no row is of the part train; there is nothing to train on",
        ),
        (
            "path,label\nc.jpg,x\nd.jpg,y\n",
            "t.csv: none of its pictures is there, as c.jpg; name the folder that paths begin in with --images",
        ),
        ("path,label\na.jpg,x\nb.jpg,y\n", "t.csv: no class has two pictures of which one could be held out; add some"),
    ];
    for (text, expected) in cases {
        folder.write("t.csv", text);
        let message = folder.refusal("t.csv", &TableOptions::default());
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
}

#[test]
fn options_that_a_table_does_not_bear_out() {
    let folder = Folder::of(&["a.jpg", "b.jpg"]);
    folder.write("t.csv", "path,label,sea,who\na.jpg,x,1,p\nb.jpg,y,2,\n");
    let named = |name: &str| Some(name.to_string());
    let plain = TableOptions::default;
    let cases = [
        (
            TableOptions { path_column: named("file"), ..plain() },
            "t.csv: no column file (--path-column); its columns are path, label, sea, who",
        ),
        (TableOptions { label_column: named("kind"), ..plain() }, "no column kind (--label-column); its columns are"),
        (
            TableOptions { label_columns: vec!["sky".into()], ..plain() },
            "no column sky (--label-columns); its columns are",
        ),
        (
            TableOptions { label_columns: vec!["sea".into()], ..plain() },
            "line 3: 2 in column sea; a label is 1 or 0, -1 if uncertain, blank if not known",
        ),
        (TableOptions { label_columns: vec!["sea".into(); 2], ..plain() }, "--label-columns names sea twice"),
        (
            TableOptions { label_column: named("label"), label_columns: vec!["sea".into()], ..plain() },
            "give one of the two",
        ),
        (TableOptions { group_by: named("burst"), ..plain() }, "no column burst (--group-by); its columns are"),
        (TableOptions { group_by: named("who"), ..plain() }, "line 3: no group in column who; give the picture one"),
        (
            TableOptions { images: Some(folder.path("none")), ..plain() },
            "none: not a folder; the paths of a table are relative to one",
        ),
    ];
    for (options, expected) in cases {
        let message = folder.refusal("t.csv", &options);
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
    let classes = Folder::of(&["x/a.png", "x/b.png"]);
    let message = classes.refusal("", &TableOptions { group_by: named("who"), ..plain() });
    assert!(message.contains("no table (.csv) tells of its pictures"), "{message}");
    let message = classes.refusal("x/a.png", &plain());
    assert!(message.contains("x/a.png: neither a folder nor a table (.csv, .csv.gz, .jsonl)"), "{message}");
}

#[test]
fn groups_and_labels_of_two_parts() {
    let folder = Folder::of(&["a.jpg", "b.jpg", "c.jpg"]);
    let by_patient = TableOptions { group_by: Some("patient".into()), ..TableOptions::default() };
    folder.write("t.csv", "path,label,patient,split\na.jpg,x,7,train\nb.jpg,y,8,train\nc.jpg,x,7,val\n");
    assert_eq!(
        folder.refusal("t.csv", &by_patient),
        "t.csv: line 4: 7 is in val, and in train in line 2; a group (--group-by) must be in one part"
    );
    folder.write("train.csv", "path,label,patient\na.jpg,x,7\nb.jpg,y,8\n");
    folder.write("val.csv", "path,label,patient\nc.jpg,x,8\n");
    assert_eq!(
        folder.refusal("train.csv", &by_patient),
        "val.csv: line 2: 8 is in val, and in train in line 3 of train.csv; a group (--group-by) must be in one part"
    );
    folder.write("val.csv", "path,label,patient\nb.jpg,x,9\n");
    assert_eq!(
        folder.refusal("train.csv", &by_patient),
        "val.csv: line 2: b.jpg stands in line 3 of train.csv already; a picture has one row"
    );
    folder.write("val.csv", "path,sea\nc.jpg,1\n");
    let message = folder.refusal("train.csv", &TableOptions::default());
    assert_eq!(message, "val.csv: its labels are sea; those of the training pictures are classes");
    folder.write("val.csv", "path,label\nc.jpg\n");
    assert!(folder.refusal("", &TableOptions::default()).contains("val.csv: line 2: the number of values is 1"));
}

#[test]
fn lines_of_json_that_are_none() {
    let folder = Folder::of(&["a.jpg"]);
    folder.write("t.jsonl", "{\"path\": \"a.jpg\", \"label\": 1}\n[1]\n");
    assert!(folder.refusal("t.jsonl", &TableOptions::default()).contains("t.jsonl: line 2: not an object of JSON: "));
    folder.write("t.csv.gz", [0x1f, 0x8b, 8, 0, 0]);
    assert!(folder.refusal("t.csv.gz", &TableOptions::default()).starts_with("t.csv.gz: "));
}

/// The error of what would train on a table.
fn unfit(text: &str) -> Option<String> {
    let folder = Folder::of(&["a.jpg", "b.jpg", "c.jpg", "d.jpg"]);
    folder.write("t.csv", text);
    let set: DataSet = folder.read("t.csv");
    set.check().err().map(|error| error.to_string().split("t.csv: ").last().unwrap().to_string())
}

#[test]
fn what_no_network_can_be_trained_on() {
    let train = |row: &str| row.replace(';', ",train\n");
    let classes = |rows: &str| unfit(&format!("path,label,split\n{}d.jpg,x,val\n", train(rows)));
    assert_eq!(classes("a.jpg,x;b.jpg,x;").unwrap(), "x is its only class; a network learns to tell two or more apart");
    assert_eq!(classes("a.jpg,y;b.jpg,z;").unwrap(), "no pictures of x; a class needs at least one to train on");
    assert_eq!(classes("a.jpg,x;b.jpg,y;"), None);
    let labels = |rows: &str| unfit(&format!("path,sea,sky,split\n{}d.jpg,1,0,val\n", train(rows)));
    assert_eq!(
        labels("a.jpg,1,-1;b.jpg,0,;").unwrap(),
        "sky is known of no training picture; take it out of --label-columns"
    );
    assert_eq!(
        labels("a.jpg,1,0;b.jpg,1,1;").unwrap(),
        "sea is 1 for all training pictures; take it out of --label-columns"
    );
    assert_eq!(labels("a.jpg,1,0;b.jpg,0,1;"), None);
}
