//! Training on the command line: what its options do, and runs that are interrupted and gone on with.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fashion::{TRAIN, World};
use crate::folder::{golden, told};

/// The losses of the first four steps of a run with these options.
fn losses(world: &World, options: &str) -> Vec<f64> {
    let _ = fs::remove_dir_all(world.path("tried"));
    world.done(&format!("{TRAIN} --max-steps 4 --out tried {options}"));
    let log = world.text("tried/log.jsonl");
    log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["loss"].as_f64().unwrap()).collect()
}

#[test]
fn every_option_of_training_does_what_it_says() {
    let world = World::new();
    let plain = losses(&world, "");
    assert_eq!(losses(&world, "--augment none"), plain, "the usual for pictures of one channel");
    let augment = ["flip", "crop-flip", "resized-crop"].map(|word| format!("--augment {word}"));
    let others = ["--label-smoothing 0.2", "--drop-rate 0.5", "--no-shuffle", "--seed 1"].map(String::from);
    let more =
        ["--color-jitter 0.5", "--rand-augment 2,9", "--random-erasing 1", "--mixup 1", "--cutmix 1"].map(String::from);
    for option in augment.iter().chain(&others).chain(&more) {
        assert_ne!(losses(&world, option)[0], plain[0], "{option}");
    }
    for (crop, option) in [("crop-flip", "--crop-padding 9"), ("resized-crop", "--crop-scale 0.9")] {
        let crop = format!("--augment {crop}");
        assert_ne!(losses(&world, &format!("{crop} {option}"))[0], losses(&world, &crop)[0], "{option}");
    }
    for option in ["--momentum 0", "--weight-decay 0.1", "--lr 0.05", "--schedule cosine"] {
        let changed = losses(&world, option);
        assert!(changed[0] == plain[0] && changed[3] != plain[3], "{option}: {changed:?} {plain:?}");
    }
}

#[test]
fn a_run_that_the_machine_has_no_memory_for_is_refused_before_its_first_step() {
    let world = World::new();
    let large = TRAIN.replace("--model densenet-bc-40-12", "--model densenet161").replace("--size 8 ", "--size 8192 ");
    let words = format!("{large} --out large");
    world.fails(&words, 1, &["a step on 8 pictures of 8192x8192 needs", ", and this machine has"]);
    assert!(!world.path("large").exists());
}

#[test]
fn a_schedule_sets_the_rate_of_every_step() {
    let world = World::new();
    let rates = |schedule: &str| -> Vec<f64> {
        world.done(&format!("{TRAIN} --epochs 1 --schedule {schedule} --out {schedule}"));
        let log = world.text(&format!("{schedule}/log.jsonl"));
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| line["lr"].as_f64()).collect()
    };
    assert_eq!(rates("constant"), [0.1; 5]);
    assert_eq!(rates("steps"), [0.1, 0.1, 0.1, 0.01, 0.001]);
    assert!(rates("cosine").windows(2).all(|pair| pair[1] < pair[0]));
}

#[test]
fn a_run_that_begins_with_weights_of_another() {
    let world = World::new();
    world.done(&format!("{TRAIN} --max-steps 8 --out run"));
    let begin = |options: &str| losses(&world, &format!("--init run/last.safetensors {options}"))[0];
    assert_ne!(begin(""), losses(&world, "")[0]);
    // With the same weights, all that is left of the seed is the order.
    assert_ne!(begin("--seed 1"), begin("--seed 2"));
    assert_eq!(begin("--seed 1 --no-shuffle"), begin("--seed 2 --no-shuffle"));
}

#[test]
fn a_run_that_begins_with_a_checkpoint_of_other_classes_and_channels() {
    let world = World::new();
    let file = golden("checkpoints/torchvision.legacy.pth");
    let words = format!("train --data ./fashion-mnist --size 32 --max-steps 1 --out run --init {}", file.display());
    let (code, _, err) = world.run(&words);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("5 classes, not 10: a new classifier is drawn"), "{err}");
    assert!(err.contains("3 input channels, not 1: the stem's kernels are summed"), "{err}");
    let info: Value = serde_json::from_str(&world.done("info run/last.safetensors --json")).unwrap();
    assert_eq!(info["config"]["block_config"], serde_json::json!([2, 3, 2]));
    assert_eq!((&info["config"]["in_channels"], &info["config"]["num_classes"]), (&1.into(), &10.into()));
    let other = format!("train --model seed --data ./fashion-mnist --size 32 --out other --init {}", file.display());
    world.fails(&other, 1, &["torchvision.legacy.pth", "missing (", "of another shape"]);
}

#[test]
fn a_run_without_a_folder_gets_one_and_neither_batches_nor_threads_change_its_evaluation() {
    let world = World::new();
    let out = world.done(&format!("{TRAIN} --max-steps 1"));
    assert!(out.starts_with("trained for 0 epochs, 1 step; no epoch is done"), "{out}");
    let words = "eval --weights runs/densenet-bc-40-12-fashion-mnist/last.safetensors --json";
    let whole = world.done(&format!("{words} --data ./fashion-mnist"));
    assert_eq!(world.done(&format!("{words} --data fashion-mnist --data-dir . --batch 7 --threads 2")), whole);
    world.fails(&format!("{words} --data ./fashion-mnist --batch 0"), 2, &["--batch", "1..=65536"]);
}

#[test]
fn more_epochs_than_a_run_was_begun_with_change_the_rate_and_that_is_said() {
    let world = World::new();
    world.done(&format!("{TRAIN} --epochs 1 --schedule cosine --out run"));
    let (code, _, err) = world.run("train --resume run --epochs 2 --max-steps 6");
    let said = "with 2 epochs instead of 1, the learning rate of step 6 is 5.000e-2, not 0.000e0";
    assert!(code == Some(0) && err.contains(said), "{err}");
    let (_, _, err) = world.run("train --resume run --epochs 2 --max-steps 7");
    assert!(!err.contains("instead of"), "{err}");
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one() {
    let world = World::new();
    world.done(&format!("{TRAIN} --epochs 2 --max-steps 9 --out whole"));
    world.done(&format!("{TRAIN} --epochs 2 --max-steps 3 --out run"));
    world.fails("train --resume run --lr 0.3 --seed 9", 2, &["seed: 0, now 9", "training.lr: 0.1, now 0.3"]);
    world.fails("train --resume run --out other", 2, &["cannot be used with"]);
    world.done("train --resume run --max-steps 9 --threads 2");
    assert_eq!(
        fs::read(world.path("run/last.safetensors")).unwrap(),
        fs::read(world.path("whole/last.safetensors")).unwrap()
    );
    world.fails(&format!("{TRAIN} --out run"), 1, &["run: holds a training run already"]);
}

/// Begins a run too long to end, whose folder is to be `folder` with these `options`, and waits for its fourth step.
fn begin_long_run(world: &World, options: &str, folder: &str) -> Child {
    let mut command = world.command(&format!("{TRAIN} --epochs 100000 {options}"));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (begun, log) = (Instant::now(), world.path(folder).join("log.jsonl"));
    while fs::read_to_string(&log).map_or(0, |log| log.lines().count()) < 8 {
        assert!(begun.elapsed() < Duration::from_secs(120), "no steps in two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn a_kill_leaves_checkpoints_that_load() {
    let world = World::new();
    let mut child = begin_long_run(&world, "--out run", "run");
    for words in [format!("{TRAIN} --out run"), "train --resume run".into()] {
        world.fails(&words, 1, &["run: another run is writing here; wait until it ends, or choose another folder"]);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    world.done("eval --weights run/last.safetensors --data ./fashion-mnist --json");
    world.done("eval --weights run/best.safetensors --data ./fashion-mnist --json");
    let log = world.text("run/log.jsonl");
    let steps = log.lines().filter(|line| line.contains("\"step\"")).count();
    world.done(&format!("train --resume run --max-steps {}", steps + 2));
    let steps_after = world.text("run/log.jsonl").lines().filter(|line| line.contains("\"step\"")).count();
    assert_eq!(steps_after, steps + 2);
}

#[cfg(unix)]
#[test]
fn ctrl_c_and_sigterm_save_and_say_how_to_go_on() {
    for (signal, options, folder) in [
        ("-INT", "--out run", "run"),
        ("-TERM", "--out run", "run"),
        ("-INT", "--seeds 2 --seed 4 --out run", "run/seed-4"),
    ] {
        let world = World::new();
        let child = begin_long_run(&world, options, folder);
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let (code, _, err) = told(child.wait_with_output().unwrap());
        assert_eq!(code, Some(130), "{signal}: {err}");
        let log = world.text(&format!("{folder}/log.jsonl"));
        let steps = log.lines().filter(|line| line.contains("\"step\"")).count();
        let said = format!("saved at step {steps}; resume with: densenet train --resume run\n");
        assert!(err.contains(&said), "{signal} {options}: {err}");
    }
}

#[test]
fn every_way_of_training_resumes_with_its_settings() {
    let world = World::new();
    let words = "--optimizer adamw --ema 0.9 --clip-norm 1 --accumulate 2 --memory low --max-steps 2";
    world.done(&format!("{TRAIN} {words} --epochs 1 --out run"));
    world.fails(
        "train --resume run --optimizer sgd",
        2,
        &["begun differently", "training.optimizer: \"adamw\", now \"sgd\""],
    );
    world.fails("train --resume run --ema 0.5", 2, &["training.ema: 0.9, now 0.5"]);
    world.done("train --resume run --memory normal --max-steps 4");
    assert_eq!(world.text("run/log.jsonl").lines().filter(|line| line.contains("\"step\"")).count(), 4);
    world.fails(&format!("{TRAIN} --ema 1 --out other"), 2, &["ema is 1", "not including, 1"]);
    world.fails(&format!("{TRAIN} --optimizer adam --out other"), 2, &["adam", "adamw"]);
    world.fails(&format!("{TRAIN} --optimizer adamw --momentum 0.5 --out other"), 2, &["momentum", "sgd"]);
}

#[test]
fn a_loss_that_is_not_finite_names_step_and_rate_and_keeps_the_weights() {
    let world = World::new();
    world.fails(&format!("{TRAIN} --lr 1e30 --out run"), 1, &["at step", "learning rate 1", "run/last.safetensors"]);
    world.done("eval --weights run/last.safetensors --data ./fashion-mnist --json");
}

#[test]
fn a_folder_that_cannot_be_written_to() {
    let world = World::new();
    fs::write(world.path("file"), b"").unwrap();
    world.fails(&format!("{TRAIN} --out file/run"), 1, &["file/run"]);
}
