//! `densenet compare`: a small plan from its first run to its page.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::fashion::World;

const PLAN: &str = r#"
data = "./fashion-mnist"
network = "densenet-bc-10-4"
size = 8
steps = 4

[training]
batch = 8
schedule = "cosine"

[[experiments]]
name = "data"
match = "parameters"
networks = [{ name = "dense" }, { name = "residual", joining = "residual" }, { name = "plain", joining = "plain" }]
images = [10, "all"]
seeds = 2

[[experiments]]
name = "layers"
networks = [{ name = "BC" }, { name = "C", bottleneck = 0 }]
images = [10]
augment = ["none", "flip"]

[gradients]
depths = [10, 16]
"#;

/// The runs of a comparison, by name, without the time that they took.
fn results(world: &World, folder: &str) -> Vec<Value> {
    let mut lines: Vec<Value> = world
        .text(&format!("{folder}/results.jsonl"))
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|mut run: Value| {
            // The other experiment has had this run.
            let shared = run["id"] == "layers-BC-10-none-0";
            assert_eq!(run["seconds"].take().as_f64().unwrap() == 0.0, shared, "{run}");
            run
        })
        .collect();
    lines.sort_by_key(|run| run["id"].to_string());
    lines
}

#[test]
fn a_plan_is_run_in_one_or_in_parts_and_told_on_a_page() {
    let world = World::new();
    world.write("plan.toml", PLAN);
    let costs = world.done("compare --plan plan.toml --dry-run");
    assert!(costs.contains("16 runs of 4 steps each") && costs.lines().count() == 8, "{costs}");
    assert!(!world.path("runs").exists(), "a dry run writes nothing");
    world.done("compare --plan plan.toml --out whole --threads 1");
    let whole = results(&world, "whole");
    assert_eq!(whole.len(), 16);
    let run = whole.iter().find(|run| run["id"] == "data-dense-10-none-1").unwrap();
    assert_eq!(
        (&run["steps"], &run["images"], &run["depth"], &run["seed"]),
        (&4.into(), &10.into(), &10.into(), &1.into())
    );
    let [dense, residual] = ["dense", "residual"]
        .map(|name| whole.iter().find(|run| run["network"] == name).unwrap()["parameters"].as_f64().unwrap());
    assert!((residual / dense - 1.0).abs() < 0.1, "{dense} {residual}");
    assert_eq!(run["curve"][1]["gradients"].as_array().unwrap().len(), 4, "the stem and a layer of each block");
    let gradients = world.text("whole/gradients.jsonl");
    assert_eq!(gradients.lines().count(), 6);
    assert!(!world.path("whole/runs/data-dense-10-none-1").exists(), "no weights stay");
    let page: Value = serde_json::from_str(&world.text("whole/report.json")).unwrap();
    assert!(world.path("whole/report.html").exists() && page["claims"].as_array().unwrap().len() > 5, "{page}");
    // Again: nothing is left to do.
    world.done("compare --plan plan.toml --out whole --threads 1");
    assert_eq!(results(&world, "whole"), whole);
    for part in ["1/2", "2/2"] {
        world.done(&format!("compare --plan plan.toml --out parts --part {part} --threads 2"));
    }
    assert_eq!(results(&world, "parts"), whole);
}

#[test]
fn a_run_that_was_killed_is_gone_on_with_to_the_same_result() {
    let world = World::new();
    world.write("plan.toml", PLAN.replace("steps = 4", "steps = 60"));
    let words = |out: &str| format!("compare --plan plan.toml --out {out} --part 1/16 --threads 1");
    world.done(&words("whole"));
    let whole = results(&world, "whole");
    let state = format!("killed/runs/{}/resume.safetensors", whole[0]["id"].as_str().unwrap());
    let mut child = world.command(&words("killed")).stderr(Stdio::null()).spawn().unwrap();
    while !world.path(&state).exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    world.done(&words("killed"));
    assert_eq!(results(&world, "killed"), whole);
    // Half a line is what a full disk leaves.
    for file in ["killed/results.jsonl", "killed/gradients.jsonl"] {
        let text = world.text(file);
        world.write(file, &text[..text.len() - 30]);
    }
    world.done(&words("killed"));
    assert_eq!(results(&world, "killed"), whole);
    assert_eq!(world.text("killed/gradients.jsonl"), world.text("whole/gradients.jsonl"));
}

#[test]
fn a_run_that_diverges_is_told_and_the_others_are_done() {
    let world = World::new();
    world.write("plan.toml", PLAN.replace("batch = 8", "batch = 8\nlr = 1e9"));
    // Again: they would come to the same, and are not done anew.
    for left in [4, 0] {
        let (_, err) = world.exits(0, "compare --plan plan.toml --out runs --part 1/4 --threads 1");
        assert_eq!(err.matches(" diverged: the loss is NaN at step 3, learning rate").count(), left, "{err}");
        assert!(
            err.contains("4 runs diverged, so claims that need one are not decided: data-dense-10-none-0, "),
            "{err}"
        );
    }
    let runs = world.text("runs/results.jsonl");
    assert!(runs.lines().count() == 4 && runs.matches("\"diverged\":\"the loss is NaN").count() == 4, "{runs}");
    assert!(!world.path("runs/runs/data-dense-10-none-0").exists(), "no weights stay");
    assert!(world.text("runs/report.html").contains("4 runs diverged."));
}

#[test]
fn a_run_goes_by_pictures_that_cannot_be_read() {
    let world = World::new();
    for (i, class) in (0..8).flat_map(|i| [(i, "a"), (i, "b")]) {
        let grey = if class == "a" { 10 + i } else { 90 + i };
        let picture = [b"P5 8 8 255\n".as_slice(), &[grey; 64]].concat();
        let training = if i < 4 { b"no picture".to_vec() } else { picture.clone() };
        world.write(&format!("pictures/train/{class}/{i}.pgm"), training);
        world.write(&format!("pictures/test/{class}/{i}.pgm"), picture);
    }
    let plan = PLAN.replace("./fashion-mnist", "./pictures").replace("batch = 8", "batch = 8\nmax_bad = 0.5");
    world.write("plan.toml", plan.replace("images = [10, \"all\"]", "images = [\"all\"]"));
    world.done("compare --plan plan.toml --out runs --part 1/7 --threads 1");
    assert_eq!(results(&world, "runs").len(), 2);
}

#[test]
fn plans_and_folders_that_do_not_fit_are_refused() {
    let world = World::new();
    world.write("plan.toml", PLAN);
    world.write("wrong.toml", PLAN.replace("joining = \"plain\"", "joined = \"plain\""));
    world.fails("compare --plan wrong.toml", 1, &["wrong.toml", "line 14", "joined"]);
    world.write("many.toml", PLAN.replace("images = [10]\n", "images = [400]\n"));
    world.fails("compare --plan many.toml", 1, &["images = 400; the data have 40 training pictures"]);
    world.fails("compare --plan papers", 1, &["papers: no such plan; use article, quick"]);
    world.fails("compare --plan plan.toml --part 3/2", 2, &["I/N with I from 1 to N"]);
    world.write("deep.toml", PLAN.replace("depths = [10, 16]", "depths = [4]"));
    world.fails("compare --plan deep.toml --out deep", 1, &["L = 4 leaves no layer for each of 3 blocks"]);
    world.write("batch.toml", PLAN.replace("batch = 8", "batch = 0"));
    for words in ["compare --plan batch.toml --dry-run", "compare --plan batch.toml --out begun"] {
        world.fails(words, 1, &["batch.toml: training settings: batch is 0; it must be from 1 to 65536"]);
    }
    world.write("cycles.toml", PLAN.replace("\"cosine\"", "\"snapshot\"\ncycles = 3"));
    let reason = "data-dense-10-none-0: training settings: cycles is 3; it must be a divisor of the epochs, 2";
    world.fails("compare --plan cycles.toml --out begun", 1, &[reason]);
    world.write("names.toml", PLAN.replace("\"BC\"", "\"../BC\""));
    world.fails(
        "compare --plan names.toml --out begun",
        1,
        &["names.toml", "line 20", "name = \"../BC\"; it takes letters"],
    );
    for (images, run) in [("[40, \"all\"]", "data-dense-40-none-0"), ("[10, 10]", "data-dense-10-none-0")] {
        world.write("twice.toml", PLAN.replace("[10, \"all\"]", images));
        world.fails(
            "compare --plan twice.toml --out begun",
            1,
            &[&format!("{run} is in the plan twice: two of its images")],
        );
    }
    assert!(!world.path("begun").exists());
    world.done("compare --plan plan.toml --out kept --part 1/16");
    world.write("other.toml", PLAN.replace("steps = 4", "steps = 5"));
    world.fails(
        "compare --plan other.toml --out kept",
        2,
        &["kept was begun with another plan", "was: steps = 4", "is: steps = 5"],
    );
}
