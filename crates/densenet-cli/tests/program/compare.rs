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
}

#[test]
fn plans_and_folders_that_do_not_fit_are_refused() {
    let world = World::new();
    world.write("plan.toml", PLAN);
    world.write("wrong.toml", PLAN.replace("joining = \"plain\"", "joined = \"plain\""));
    world.fails("compare --plan wrong.toml", 2, &["wrong.toml", "line 14", "joined"]);
    world.write("many.toml", PLAN.replace("images = [10]\n", "images = [400]\n"));
    world.fails("compare --plan many.toml", 2, &["images = 400; the data have 40 training pictures"]);
    world.fails("compare --plan papers", 1, &["papers: no such plan; there is article, quick"]);
    world.fails("compare --plan plan.toml --part 3/2", 2, &["I/N with I from 1 to N"]);
    world.write("deep.toml", PLAN.replace("depths = [10, 16]", "depths = [4]"));
    world.fails("compare --plan deep.toml --out deep", 1, &["L = 4 leaves no layer for each of 3 blocks"]);
    world.done("compare --plan plan.toml --out kept --part 1/16");
    world.write("other.toml", PLAN.replace("steps = 4", "steps = 5"));
    world.fails(
        "compare --plan other.toml --out kept",
        2,
        &["kept was begun by another plan", "was: steps = 4", "is: steps = 5"],
    );
}
