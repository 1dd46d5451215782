//! `densenet compare --report`.

use super::folder::Folder;

const PLAN: &str = "data = \"fashion-mnist\"\nnetwork = \"densenet-bc-10-4\"\nsteps = 4\n[[experiments]]\nname = \"widths\"\nnetworks = [{ name = \"dense\" }]\n\
                    images = [500]\naugment = [\"none\"]\nseeds = 2\n";

#[test]
fn a_page_is_made_of_what_is_done() {
    let folder = Folder::new();
    folder.write("runs/plan.toml", PLAN);
    let (out, err) = folder.exits(0, "compare --report runs");
    assert_eq!((out.as_str(), err.as_str()), ("", "wrote runs/report.html\n"));
    let (page, numbers) = (folder.text("runs/report.html"), folder.text("runs/report.json"));
    assert!(page.contains("0 of 2 runs done") && !page.contains("http://") && !page.contains("https://"), "{page}");
    let numbers: serde_json::Value = serde_json::from_str(&numbers).unwrap();
    assert!(numbers["claims"].as_array().unwrap().iter().all(|claim| claim["verdict"] == "not-decided"), "{numbers}");
}

#[test]
fn what_is_no_comparison_is_told() {
    let folder = Folder::new();
    folder.write("empty/note.txt", "");
    folder.fails("compare --report empty", 1, &["empty: no comparison is here; its plan would be empty/plan.toml"]);
    folder.write("bad/plan.toml", PLAN);
    folder.write("bad/results.jsonl", "{\"id\":\"a\"}\n");
    folder.fails("compare --report bad", 1, &["bad/results.jsonl:1: missing field `experiment`"]);
    folder.write("bad/plan.toml", "experiments = 3");
    folder.fails("compare --report bad", 1, &["bad/plan.toml: TOML parse error at line 1"]);
}
