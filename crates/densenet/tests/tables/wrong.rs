//! What is wrong with a table, and what would be right.

use densenet::data::{DataSet, TableOptions};

use super::Folder;

#[test]
fn tables_that_do_not_tell_what_is_what() {
    let folder = Folder::of(&["a.jpg"]);
    let cases: [(&[u8], &str); 17] = [
        (b"", "t.csv: no rows; a table has a header and a row per picture"),
        (b"path,label\n", "t.csv: no rows; a table has a header and a row per picture"),
        (b"path,label,label\na.jpg,x,y\n", "t.csv: two columns are called label; names must differ"),
        (b"name,label\na.jpg,x\n", "no path column (path, file, filename, "),
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
            "t.csv: line 4: the number of values is 1, but the number of columns is 2; a value that contains a comma must be in quotes",
        ),
        (
            b"path,label\na.jpg,x\nb,c.jpg,x\n",
            "t.csv: line 3: the number of values is 3, but the number of columns is 2",
        ),
        (b"path,label\na.jpg,x\nb\xff.jpg,x\n", "t.csv: line 3: not UTF-8"),
        (b"path,,\na.jpg,x,y\n", "t.csv: two columns have no name; names must differ"),
        (b"name,\na.jpg,x\n", "; its columns are name, column 2 (unnamed)"),
        (
            b"path;label\na.jpg;x\n",
            "; its columns are path;label; a table must separate its values with commas, not semicolons",
        ),
        (b"path\tlabel\na.jpg\tx\n", "label; a table must separate its values with commas, not tabs"),
        (
            b"path;label\na.jpg;x,y\n",
            "line 2: the number of values is 2, but the number of columns is 1; a table must separate its values and its ",
        ),
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
        ("path,label\na.jpg,x\n,y\n", "line 3: no path; each row must name a picture"),
        ("path,label\na.jpg,x\nb.jpg,\n", "line 3: no class in column label; give the picture one, or remove its row"),
        ("path,label\na.jpg,NaN\nb.jpg,y\n", "line 2: no class in column label"),
        (
            "path,label\na.jpg,x\n../b.jpg,y\n",
            "line 3: ../b.jpg lies outside FOLDER; name a folder that holds all pictures with --images",
        ),
        ("path,label\na.jpg,x\n/etc/passwd,y\n", "line 3: /etc/passwd lies outside FOLDER"),
        ("path,label\na.jpg,x\nb/../../a.jpg,y\n", "line 3: b/../../a.jpg lies outside"),
        ("path,label\na.jpg,x\nb.jpg,y\n./a.jpg,y\n", "line 4: a.jpg is in line 2 already; a picture has one row"),
        (
            "path,label,split\na.jpg,x,train\nb.jpg,y,3\n",
            "line 3: \"3\" in column split; use train, val (valid, validation) or test",
        ),
        (
            "path,label,split\na.jpg,x,val\nb.jpg,y,test\n",
            "t.csv: no row is in the part train; there is nothing to train on",
        ),
        (
            "path,label\nc.jpg,x\nd.jpg,y\n",
            "t.csv: none of its pictures exist, as c.jpg; name the folder that the paths are relative to with --images",
        ),
        (
            "path,label\na.jpg,x\nb.jpg,y\n",
            "t.csv: no class has two pictures, one of which could be held out; add some",
        ),
        ("path,sea\na.jpg,1\n", "t.csv: there are no two pictures, one of which could be held out; add some"),
        // Lines are counted whatever they end in, blank ones, too.
        ("path,label\r\na.jpg,x\r\n,y\r\n", "line 3: no path"),
        ("path,label\ra.jpg,x\r,y\r", "line 3: no path"),
        ("path,label\n\na.jpg,x\n\n\n,y\n", "line 6: no path"),
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
            "give only one of the two",
        ),
        (
            TableOptions { label_columns: ["sea", " sea"].map(String::from).into(), ..plain() },
            "--label-columns names sea twice",
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
    assert!(message.contains("it has no table (.csv, .csv.gz, .jsonl) of pictures"), "{message}");
    let message = classes.refusal("x/a.png", &plain());
    assert!(message.contains("x/a.png: neither a folder nor a table (.csv, .csv.gz, .jsonl)"), "{message}");
}

/// Without options, such a folder would be one of the classes x and y.
#[test]
fn options_that_the_table_of_a_folder_does_not_bear_out() {
    let folder = Folder::of(&["x/a.png", "x/b.png", "y/c.png", "y/d.png"]);
    folder.write("train.csv", "path,label\nx/a.png,x\nx/b.png,x\ny/c.png,y\ny/d.png,y\n");
    let named = |name: &str| Some(name.to_string());
    let plain = TableOptions::default;
    for (options, expected) in [
        (TableOptions { label_column: named("kind"), ..plain() }, "train.csv: no column kind (--label-column); "),
        (
            TableOptions { label_columns: vec!["sea".into()], ..plain() },
            "train.csv: no column sea (--label-columns); its columns are path, label",
        ),
        (TableOptions { path_column: named("file"), ..plain() }, "train.csv: no column file (--path-column); "),
        (TableOptions { group_by: named("who"), ..plain() }, "train.csv: no column who (--group-by); "),
    ] {
        let message = folder.refusal("", &options);
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
    folder.write("train.csv", "epoch,loss\n1,0.5\n");
    assert_eq!(folder.read("").train.classes(), ["x", "y"]);
    let message = folder.refusal("", &TableOptions { group_by: named("who"), ..plain() });
    assert!(message.contains("train.csv: no path column ("), "{message}");
}

#[test]
fn one_group_cannot_be_parted() {
    let folder = Folder::of(&["a.jpg", "b.jpg", "c.jpg"]);
    folder.write("t.csv", "path,label,who\na.jpg,x,p\nb.jpg,x,p\nc.jpg,y,p\n");
    let message = folder.refusal("t.csv", &TableOptions { group_by: Some("who".into()), ..TableOptions::default() });
    let expected = "no class has two groups of pictures (--group-by), one of which could be held out; add some";
    assert_eq!(message, format!("t.csv: {expected}"));
}

#[test]
fn a_value_that_is_no_label_in_a_column_of_labels() {
    let folder = Folder::new();
    (0..20).for_each(|i| folder.write(&format!("{i}.jpg"), ""));
    let mut rows: Vec<String> = (0..20).map(|i| format!("{i}.jpg,{},{},{i}\n", i % 2, i / 2 % 2)).collect();
    let notes = |rows: &[String]| {
        folder.write("t.csv", format!("path,sea,sky,age\n{}", rows.concat()));
        let path = format!("{}: ", folder.path("t.csv").display());
        folder.read("t.csv").notes.iter().map(|note| note.replace(&path, "")).collect::<Vec<String>>()
    };
    assert_eq!(notes(&rows), ["the labels are sea, sky; left out: age"]);
    for value in ["2", "0.5", "inf", "yes"] {
        rows[7] = format!("7.jpg,1,{value},7\n");
        let what = format!("line 9: {value} in column sky, which is left out because of it");
        let right = "a label is 1 or 0, -1 if uncertain, blank if not known; name sky in --label-columns";
        let stray = format!("{what}; {right} to make it a label and refuse other values");
        assert_eq!(notes(&rows), ["the labels are sea; left out: sky, age".into(), stray]);
    }
    let sky = TableOptions { label_columns: vec!["sky".into()], ..TableOptions::default() };
    assert!(folder.refusal("t.csv", &sky).contains("line 9: yes in column sky; a label is 1 or 0"));
    // More than a tenth of all are no accident.
    rows[8] = "8.jpg,0,yes,8\n".into();
    assert_eq!(notes(&rows).len(), 2);
    rows[9] = "9.jpg,1,yes,9\n".into();
    assert_eq!(notes(&rows), ["the labels are sea; left out: sky, age"]);
    // Where there is no other label, the value is the reason.
    folder.write("t.csv", format!("path,sky\n0.jpg,x\n{}", "1.jpg,1\n".repeat(9)));
    let message = folder.refusal("t.csv", &TableOptions::default());
    assert!(message.contains("; its columns are path, sky; line 2: x in column sky, which is left out"), "{message}");
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
        "val.csv: line 2: b.jpg is in line 3 of train.csv already; a picture has one row"
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
    assert!(folder.refusal("t.jsonl", &TableOptions::default()).contains("t.jsonl: line 2: not a JSON object: "));
    folder.write("t.jsonl", "{\"path\": \"a.jpg\", \"label\": 1}\n{\"path\": \n");
    assert_eq!(
        folder.refusal("t.jsonl", &TableOptions::default()),
        "t.jsonl: line 2: not a JSON object: EOF while parsing a value at column 9"
    );
    folder.write("t.jsonl", b"{\"path\": \"a.jpg\", \"label\": 1}\n{\"path\": \"b.jpg\", \"label\": \"h\xfcnd\"}\n");
    let message = folder.refusal("t.jsonl", &TableOptions::default());
    assert!(message.starts_with("t.jsonl: line 2: not UTF-8 ("), "{message}");
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
    assert_eq!(classes("a.jpg,x;b.jpg,x;").unwrap(), "x is its only class; a network needs at least two to tell apart");
    assert_eq!(classes("a.jpg,y;b.jpg,z;").unwrap(), "no training pictures of x; a class needs at least one");
    assert_eq!(classes("a.jpg,x;b.jpg,y;"), None);
    let labels = |rows: &str| unfit(&format!("path,sea,sky,split\n{}d.jpg,1,0,val\n", train(rows)));
    let right = "a label is learnt from pictures with and without it; use --label-columns to name only such labels";
    assert_eq!(labels("a.jpg,1,-1;b.jpg,0,;").unwrap(), format!("sky is known for no training picture; {right}"));
    assert_eq!(labels("a.jpg,1,0;b.jpg,1,1;").unwrap(), format!("sea is 1 for all training pictures; {right}"));
    let both = "sea is 0 for all training pictures, sky is 1 for all training pictures";
    assert_eq!(labels("a.jpg,0,1;b.jpg,0,1;").unwrap(), format!("{both}; {right}"));
    assert_eq!(labels("a.jpg,1,0;b.jpg,0,1;"), None);
}
