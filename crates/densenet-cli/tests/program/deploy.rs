//! The files of `deploy/` call the program as it can be called.

use std::path::Path;

use super::folder::Folder;

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Checks that these words are understood: the help that they end with comes only after all others are.
fn understood(words: &[String]) {
    assert!(words[0] == "serve" && words.len() > 2, "{words:?}");
    let output = Folder::new().command("").args(words).arg("--help").output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_unit_of_systemd() {
    let unit = text("densenet.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/densenet ")).unwrap();
    understood(&line.split(' ').map(String::from).collect::<Vec<_>>());
}

#[test]
fn the_image_for_containers() {
    let file = text("Dockerfile");
    let words = file.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    understood(&serde_json::from_str::<Vec<String>>(words).unwrap());
}

#[test]
fn the_runtime_of_kserve() {
    let file = text("kserve.yaml");
    let words = file.lines().skip_while(|line| line.trim() != "args:").skip(1);
    let words = words.map_while(|line| line.trim().strip_prefix("- "));
    understood(&words.map(|word| word.trim_matches('"').replace("{{.Name}}", "pictures")).collect::<Vec<_>>());
}

#[test]
fn an_option_that_is_none_is_noticed_before_the_help() {
    let folder = Folder::new();
    folder.fails("serve --no-such-option --help", 2, &["--no-such-option"]);
    folder.fails("serve --port many --help", 2, &["--port"]);
}
