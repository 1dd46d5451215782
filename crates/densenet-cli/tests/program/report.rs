//! Reports of runs, made by the program from folders that are written here.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::folder::Folder;

const EVIL: &str = "</td><script>alert('x')</script>&\"'";

/// A folder of runs.
struct Runs(Folder);

works_in_its_folder!(Runs);

impl Runs {
    fn new() -> Self {
        Self(Folder::new())
    }

    /// A run of so many epochs of so many steps, whose last is the best.
    fn train(&self, name: &str, epochs: usize, steps: usize, accuracy: f64) {
        let mut log = String::new();
        for epoch in 1..=epochs {
            for step in 1..=steps {
                let (step, loss) = ((epoch - 1) * steps + step, 1.0 / epoch as f64);
                writeln!(log, "{{\"step\":{step},\"epoch\":{epoch},\"loss\":{loss},\"lr\":0.1}}").unwrap();
            }
            let top1 = accuracy * epoch as f64 / epochs as f64;
            let line = json!({ "epoch": epoch, "train_loss": 0.5, "train_top1": 0.75, "val_loss": 0.7, "val_top1": top1,
                "seconds": 61.0 });
            writeln!(log, "{line}").unwrap();
        }
        self.write(&format!("{name}/log.jsonl"), &log);
    }

    /// Exit code, and what is said on stderr.
    fn report(&self, words: &str) -> (Option<i32>, String) {
        let (code, out, err) = self.run(&format!("report {words}"));
        assert_eq!(out, "");
        (code, err)
    }

    /// The page of the runs, which loads nothing from elsewhere.
    fn page(&self, words: &str, file: &str) -> String {
        let (code, err) = self.report(words);
        assert_eq!(code, Some(0), "{err}");
        assert!(err.contains(file), "{err}");
        let page = fs::read_to_string(self.path(file)).unwrap();
        assert!(!page.contains("://") && !page.contains("<link") && !page.contains("@import"), "{page}");
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert_eq!(page.matches("src=").count(), page.matches("src=\"data:image/jpeg;base64,").count(), "{page}");
        page
    }
}

fn evaluation(classes: usize, top1: f64) -> serde_json::Value {
    let figures = json!({ "precision": 0.5, "recall": 0.25, "f1": 0.333, "support": 12, "auc": null });
    json!({
        "images": 1000, "correct": 912, "top1": top1, "loss": 0.3, "ece": 0.021, "temperature": 1.25,
        "intervals": { "top1": [top1 - 0.01, top1 + 0.01] },
        "per_class": vec![figures; classes],
        "confusion": vec![vec![7; classes]; classes],
        "calibration": [
            { "count": 0, "confidence": 0.0, "accuracy": 0.0 }, { "count": 9, "confidence": 0.9, "accuracy": 0.5 },
        ],
        "unreadable": [{ "input": EVIL, "reason": "no picture" }],
    })
}

/// All of a run's files, with `labels` and texts that would break a page that does not escape them.
fn write_all(runs: &Runs, name: &str, classes: usize) {
    let mistake = json!({ "path": EVIL, "true": EVIL, "predicted": "b", "probability": 0.987, "thumbnail": "AAAA" });
    let labels: Vec<String> = (0..classes).map(|class| format!("{EVIL}{class}")).collect();
    let object = json!({
        "part": "test", "evaluation": evaluation(classes, 0.912), "labels": labels, "mistakes": vec![&mistake; 24],
        "suspects": [mistake],
    });
    runs.write(&format!("{name}/evaluation.json"), object.to_string());
    runs.write(&format!("{name}/recipe.toml"), "model = \"</pre><script>\"\nseed = 3\n[training]\nepochs = 2\n");
    runs.write(&format!("{name}/machine.json"), json!({ "processor": EVIL, "peak_rss_mib": 1234 }).to_string());
}

#[test]
fn a_page_has_all_that_the_folder_tells_and_escapes_it() {
    let runs = Runs::new();
    runs.train("one", 2, 3, 0.9);
    write_all(&runs, "one", 3);
    let page = runs.page("one", "one/report.html");
    for part in [
        "<h1>one</h1>",
        "Test accuracy</span><strong>91.20\u{a0}%</strong><small>95 % interval 90.20 to 92.20\u{a0}%</small>",
        "2 of 2</strong><small>validation accuracy 90.00\u{a0}%</small>",
        "2.10\u{a0}%</strong><small>at temperature 1.25</small>",
        "2 min 02 s",
        "Confusions",
        "style=\"--share:0.333\">7</td>",
        "Reliability diagram",
        "The most confident mistakes",
        "The most likely wrong labels",
        "98.70\u{a0}%",
        "1 picture could not be read",
        "1,234 MiB",
        "&lt;/pre&gt;&lt;script&gt;",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert!(!page.contains("alert('x')</script>") && !page.contains("http-equiv=\"refresh\""), "{page}");
}

#[test]
fn what_is_not_there_is_left_out() {
    let runs = Runs::new();
    runs.train("one", 3, 2, 0.9);
    let page = runs.page("one", "one/report.html");
    for part in ["Confusions", "Calibration", "Recipe", "Machine", "mistakes", "could not be read"] {
        assert!(!page.contains(part), "{part} is in {page}");
    }
    runs.write("begun/log.jsonl", "");
    assert!(runs.page("begun", "begun/report.html").contains("No epoch is done yet"));
    runs.write("broken/log.jsonl", "{\"step\":1,\"epoch\":1,\"loss\":null,\"lr\":0.1}\n{\"step\":2,\"loss\":NaN}\n");
    let page = runs.page("broken", "broken/report.html");
    assert!(page.contains("1 number of the log is not finite") && page.contains("1 line of the log"), "{page}");
    assert!(!page.contains("NaN"), "{page}");
}

#[test]
fn files_that_are_something_else_are_named() {
    let runs = Runs::new();
    fs::create_dir(runs.path("empty")).unwrap();
    let (code, err) = runs.report("empty");
    assert!(
        code == Some(1) && err.contains("empty: no training run is here; its log would be empty/log.jsonl"),
        "{err}"
    );
    for (file, text) in [("recipe.toml", "lr = "), ("evaluation.json", "[1"), ("machine.json", "7")] {
        runs.train("one", 1, 1, 0.5);
        runs.write(&format!("one/{file}"), text);
        let (code, err) = runs.report("one");
        assert!(code == Some(1) && err.contains(&format!("one/{file}: not ")), "{err}");
        fs::remove_file(runs.path("one").join(file)).unwrap();
    }
    assert_eq!(runs.report("").0, Some(2));
}

/// 300 epochs of 500 steps, 1,000 classes.
#[test]
fn the_page_of_a_long_run_is_small() {
    let runs = Runs::new();
    runs.train("one", 300, 500, 0.9);
    write_all(&runs, "one", 1000);
    let page = runs.page("one", "one/report.html");
    assert!(page.len() < 400_000, "{} bytes", page.len());
    write_all(&runs, "one", 30);
    let page = runs.page("one", "one/report.html");
    assert!(page.len() < 400_000 && page.contains("class=\"matrix\""), "{} bytes", page.len());
}

#[test]
fn several_runs_beside_each_other() {
    let runs = Runs::new();
    for (seed, accuracy, lr) in [(1, 0.90, 0.1), (2, 0.92, 0.1), (3, 0.97, 0.5)] {
        let name = format!("run-{seed}");
        runs.train(&name, 2, 2, accuracy);
        runs.write(&format!("{name}/recipe.toml"), format!("seed = {seed}\nmodel = \"m\"\n[training]\nlr = {lr}\n"));
        let object = json!({ "part": "test", "evaluation": evaluation(2, accuracy) });
        runs.write(&format!("{name}/evaluation.json"), object.to_string());
    }
    let page = runs.page("run-1 run-2 run-3", "report.html");
    assert!(page.contains("Mean and deviation over 2 seeds") && page.contains("91.00 ± 1.41 %"), "{page}");
    assert!(page.contains("<code>training.lr</code>") && !page.contains("<code>model</code>"), "{page}");
    assert_eq!(page.matches("data-name=\"run-3\"").count(), 4, "{page}");
    runs.page("run-1 run-2 --out both.html", "both.html");
    for seed in [9, 10] {
        runs.train(&format!("seeds/seed-{seed}"), 1, 1, 0.5);
    }
    let page = runs.page("seeds", "seeds/report.html");
    assert!(page.find("seed-9").unwrap() < page.find("seed-10").unwrap(), "{page}");
    assert!(!Path::new(&runs.path("run-1/report.html")).exists());
}

/// The same pictures are of both classes, so that half of them are mistaken.
#[test]
fn a_training_leaves_a_report_with_its_mistakes() {
    let runs = Runs::new();
    for (part, count) in [("train", 8u8), ("val", 2), ("test", 3)] {
        for (class, number) in
            ["cat", "dog"].into_iter().flat_map(|class| (0..count).map(move |number| (class, number)))
        {
            let grey = char::from(b'a' + 3 * number);
            let pixels: String = std::iter::repeat_n(grey, 64).collect();
            runs.write(&format!("photos/{part}/{class}/{number}.pgm"), format!("P5 8 8 255\n{pixels}"));
        }
    }
    runs.exits(
        0,
        "train --model densenet-10-4 --data photos --size 8 --epochs 2 --batch 8 --augment none --threads 1 --out run",
    );
    let written = fs::read_to_string(runs.path("run/report.html")).unwrap();
    let object: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(runs.path("run/evaluation.json")).unwrap()).unwrap();
    let mistakes = object["mistakes"].as_array().unwrap();
    assert_eq!((mistakes.len(), &object["part"], &object["labels"]), (3, &json!("test"), &json!(["cat", "dog"])));
    for mistake in mistakes {
        assert!(mistake["path"].as_str().unwrap().contains("photos/test/"), "{mistake}");
        assert_ne!(mistake["true"], mistake["predicted"]);
        let jpeg = mistake["thumbnail"].as_str().unwrap();
        assert!(jpeg.starts_with("/9j/") && written.contains(&format!("base64,{jpeg}\"")), "{mistake}");
    }
    assert!(written.contains("of 6 pictures") && written.contains("densenet-10-4"), "{written}");
    fs::remove_dir_all(runs.path("photos")).unwrap();
    assert_eq!(runs.page("run", "run/report.html"), written);
}
