//! Training runs from a recipe to a report, on pictures made up on the spot.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::folder::{Folder, told};

/// A folder to work in, with pictures of two classes in `set`.
struct World(Folder);

works_in_its_folder!(World);

/// A network of 3 channels and 5 classes with a 7x7 stem, whose last block is of 1x1 for pictures of 16x16.
const INIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../densenet/tests/goldens/checkpoints/torchvision.pth");

impl World {
    fn new() -> Self {
        let world = Self(Folder::new());
        for (part, count) in [("train", 12), ("val", 6), ("test", 6)] {
            for class in ["a", "b"] {
                (0..count).for_each(|i| world.picture(&format!("set/{part}/{class}/{i}.pgm"), class == "b", i));
            }
        }
        world
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }

    /// A grey picture of 16x16 as PGM, darker or brighter.
    fn picture(&self, name: &str, bright: bool, number: usize) {
        let pixel = |i: usize| (i * 31 + number * 57) as u8 % 90 + 120 * u8::from(bright);
        self.write(name, [b"P5 16 16 255\n".as_slice(), &(0..256).map(pixel).collect::<Vec<u8>>()].concat());
    }

    /// The same of a short training of the tiny network.
    fn train(&self, code: i32, options: &str) -> (String, String) {
        self.exits(code, &format!("train --init {INIT} --size 16 --batch 8 --threads 1 {options}"))
    }
}

#[test]
fn fine_tuning_prepares_pictures_as_for_the_weights_it_begins_with() {
    let world = World::new();
    let preprocessing = |weights: &str| -> Value {
        let info: Value = serde_json::from_str(&world.exits(0, &format!("info {weights} --json")).0).unwrap();
        info["card"]["preprocessing"].clone()
    };
    let tuned = |init: &str, size: usize, out: &str| {
        world.exits(0, &format!("train --init {init} --size {size} --data set --batch 8 --max-steps 1 --out {out}"));
        preprocessing(&format!("{out}/last.safetensors"))
    };
    assert_eq!(tuned("fashion-mnist", 28, "grey"), preprocessing("fashion-mnist"));
    // A file that does not say how: ImageNet's, as for any folder.
    assert_eq!(tuned(INIT, 16, "colour")["mean"].as_array().unwrap().len(), 3);
}

#[test]
fn a_recipe_is_written_with_the_run_and_taken_back() {
    let world = World::new();
    world.train(0, "--recipe finetune --data set --epochs 2 --mixup 0.1 --seed 4 --out run");
    let recipe = world.text("run/recipe.toml");
    for line in ["seed = 4", "size = 16", "lr = 0.02", "body_lr = 0.1", "base = \"resized-crop\"", "mixup = 0.1"] {
        assert!(recipe.lines().any(|found| found == line), "{line}: {recipe}");
    }
    world.exits(0, "train --recipe run/recipe.toml --threads 2 --out again");
    let file = |run: &str| fs::read(world.path(run).join("last.safetensors")).unwrap();
    assert_eq!(file("run"), file("again"), "the same weights, from the recipe alone");
    let (_, err) = world.exits(2, "train --resume run --recipe quick --epochs 3");
    assert!(err.contains("training.lr: 0.02, now 0.1") && err.contains("training.batch: 8, now 64"), "{err}");
    assert_eq!(world.text("run/recipe.toml"), recipe, "what is refused changes nothing");
    world.exits(0, "train --resume run --epochs 3 --patience 9");
    let recipe = recipe.replace("epochs = 2\n", "epochs = 3\n").replace("max_bad", "patience = 9\nmax_bad");
    assert_eq!(world.text("run/recipe.toml"), recipe, "the recipe that is in force");
    assert!(world.text("run/report.html").contains("epochs = 3"));
    world.exits(0, "train --recipe run/recipe.toml --max-steps 1 --out third");
    assert!(world.text("third/recipe.toml").contains("epochs = 3\n"));
    let (_, err) = world.train(1, "--recipe nothing --data set");
    assert!(err.contains("nothing: no such recipe; use paper-cifar"), "{err}");
}

#[test]
fn what_is_wrong_in_a_recipes_file_is_told_with_its_place() {
    let world = World::new();
    for (text, told) in [
        ("[training]\nlearning_rate = 1", "wrong.toml: line 2, learning_rate = 1: unknown field `learning_rate`"),
        ("[training]\nlr = \"1\"", "wrong.toml: line 2, lr = \"1\": invalid type: string \"1\", expected a number"),
        ("seed =", "wrong.toml: line 1, seed =: "),
        ("model = \"densenet-7\"", "wrong.toml: configuration: "),
        ("model = \"densenet121\"\ndrop_rate = 2.0", "wrong.toml: configuration: drop_rate is 2; "),
        ("[training]\nbatch = 0", "wrong.toml: training settings: batch is 0; it must be from 1 to 65536"),
    ] {
        world.write("wrong.toml", text);
        let words = format!("train --init {INIT} --size 16 --recipe wrong.toml --data set --out run");
        let (_, err) = world.exits(1, &words);
        assert!(err.contains(told), "{told}: {err}");
    }
    world.write("wrong.toml", "model = \"densenet121\"\nsize = 20");
    let (_, err) = world.exits(1, "train --recipe wrong.toml --data set --out run");
    assert!(err.contains("wrong.toml: picture size 20x20: "), "{err}");
    let (_, err) = world.exits(2, "train --recipe wrong.toml --size 16 --data set --out run");
    assert!(err.contains("error: picture size 16x16: "), "{err}");
    let (_, err) = world.exits(2, &format!("train --init {INIT} --recipe quick --batch 0 --data set --out run"));
    assert!(err.contains("error: training settings: batch is 0"), "{err}");
    let (_, err) = world.train(2, "--data set --seed 9223372036854775808");
    assert!(err.contains("--seed") && err.contains("0..=9223372036854775807"), "{err}");
    let (_, err) = world.train(2, "--data set --seeds 3 --seed 9223372036854775806");
    assert!(err.contains("the first of 3 seeds may be 9223372036854775805 at most"), "{err}");
    assert!(!world.path("run").exists() && !world.path("runs").exists());
}

#[test]
fn a_body_of_random_weights_learns_as_fast_as_its_classifier() {
    let world = World::new();
    for (words, told) in [
        ("--recipe finetune", "body_lr is 0.1, and without --init random weights would learn at that share"),
        ("--freeze body", "freeze is body, and without --init random weights would stay as they are"),
        ("--freeze weights --unfreeze-every 1 --find-lr", "give --init trained weights, or --freeze none"),
    ] {
        let (_, err) = world.exits(2, &format!("train --model densenet-10-4 --data set --size 8 --out run {words}"));
        assert!(err.contains(told) && !world.path("run").exists(), "{words}: {err}");
    }
    let words = "train --model densenet-10-4 --data set --size 8 --threads 1 --max-steps 1 --out run";
    world.exits(0, &format!("{words} --recipe finetune --body-lr 1"));
}

#[test]
fn a_run_without_a_folder_gets_one_of_the_whole_name_of_its_data() {
    let world = World::new();
    fs::rename(world.path("set"), world.path("photos.v1")).unwrap();
    world.train(0, "--data photos.v1 --max-steps 1");
    assert!(world.path("runs/torchvision-photos.v1/recipe.toml").exists());
    let mut here = world.command(&format!("train --init {INIT} --size 16 --batch 8 --max-steps 1 --data ."));
    let (code, _, err) = told(here.current_dir(world.path("photos.v1")).output().unwrap());
    assert_eq!(code, Some(0), "{err}");
    assert!(world.path("photos.v1/runs/torchvision-photos.v1/recipe.toml").exists(), "{err}");
}

/// As where a disk is full before the first state is written, or where somebody takes away what is written before it.
#[test]
fn a_run_is_gone_on_with_where_it_is_whole_and_begun_where_there_is_none() {
    let world = World::new();
    fs::create_dir_all(world.path("run/split.csv")).unwrap();
    let words = "--data set --max-steps 1 --out run";
    world.train(1, words);
    assert!(world.path("run/recipe.toml").exists() && !world.path("run/resume.safetensors").exists());
    fs::remove_dir(world.path("run/split.csv")).unwrap();
    world.train(0, words);
    for name in ["run/recipe.toml", "run/split.csv"] {
        let text = world.text(name);
        fs::remove_file(world.path(name)).unwrap();
        let (_, err) = world.exits(1, "train --resume run --threads 1");
        assert!(err.contains(&format!("{name}: missing, and without it the run would become another")), "{err}");
        world.write(name, text);
    }
    world.exits(0, "train --resume run --max-steps 2 --threads 1");
}

#[test]
fn test_pictures_that_cannot_be_read_are_named_and_counted() {
    let world = World::new();
    world.write("set/test/a/broken.jpg", b"");
    let (_, err) = world.train(0, "--data set --epochs 1 --out run");
    let named = "densenet: warning: set/test/a/broken.jpg: an empty file, not a picture; the test leaves it out\n";
    assert!(err.contains(named) && err.contains("1 of 13 inputs could not be read\n"), "{err}");
    world.write("set/val/b/broken.jpg", b"");
    let (_, err) = world.train(0, "--data set --epochs 1 --out other");
    assert_eq!(err.matches("broken.jpg").count(), 2, "each once: {err}");
    // Where the test part chooses, training has named them.
    fs::remove_dir_all(world.path("set/val")).unwrap();
    let (_, err) = world.train(0, "--data set --epochs 1 --val-fraction 0 --out third");
    assert!(err.matches("broken.jpg").count() == 1 && !err.contains("test pictures could not"), "{err}");
}

#[test]
fn the_best_network_is_calibrated_tested_and_reported() {
    let world = World::new();
    let (out, _) = world.train(0, "--data set --epochs 3 --lr 0.05 --augment none --tensorboard --out run");
    assert!(out.contains("test, seen once and after all choices: accuracy "), "{out}");
    let evaluated = world.json("run/evaluation.json");
    assert_eq!((&evaluated["part"], &evaluated["evaluation"]["images"]), (&"test".into(), &12.into()));
    let temperature = evaluated["evaluation"]["temperature"].as_f64().unwrap();
    assert!(temperature > 0.0 && temperature != 1.0);
    let (out, _) = world.exits(0, "eval --weights run/best.safetensors --data set --part test --json");
    let eval: Value = serde_json::from_str(&out).unwrap();
    for name in ["top1", "loss", "ece", "temperature", "auc", "intervals"] {
        assert_eq!(eval[name], evaluated["evaluation"][name], "{name}");
    }
    let card = serde_json::from_str::<Value>(&world.exits(0, "info run/best.safetensors --json").0).unwrap();
    assert_eq!(card["card"]["output"]["temperature"], temperature);
    assert!(world.text("run/report.html").contains("<svg") && world.json("run/machine.json")["threads"] == 1);
    let events =
        fs::read_dir(world.path("run")).unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    assert_eq!(events.filter(|name| name.starts_with("events.out.tfevents.")).count(), 1);
    let log = world.text("run/log.jsonl");
    assert!(log.contains("\"images_per_s\":") && !log.contains("test_"), "{log}");
}

#[test]
fn several_seeds_are_trained_compared_and_gone_on_with() {
    let world = World::new();
    let (out, _) = world.train(0, "--data set --epochs 1 --seeds 2 --seed 7 --augment flip --out runs");
    let told = out.lines().rev().take(3).collect::<Vec<_>>();
    assert!(told[0].starts_with("mean of 2 seeds ") && told[0].contains("deviation"), "{out}");
    assert!(told[1].starts_with("seed 8: ") && told[2].starts_with("seed 7: "), "{out}");
    let file = |seed: u64| fs::read(world.path(&format!("runs/seed-{seed}/last.safetensors"))).unwrap();
    let (seventh, eighth) = (file(7), file(8));
    assert_ne!(seventh, eighth);
    assert!(world.text("runs/report.html").contains("seed-8"));
    // As if it had been interrupted between the two.
    fs::remove_dir_all(world.path("runs/seed-8")).unwrap();
    world.exits(0, "train --resume runs --threads 1");
    assert!(file(7) == seventh && file(8) == eighth);
    world.train(0, "--data set --epochs 1 --seed 8 --augment flip --out alone");
    assert_eq!(fs::read(world.path("alone/last.safetensors")).unwrap(), eighth, "a seed is the run of that seed");
}

#[test]
fn runs_of_several_seeds_stay_of_one_recipe() {
    let world = World::new();
    let words = "--data set --epochs 1 --augment flip --seeds 2 --out runs";
    world.train(0, words);
    let recipe = world.text("runs/recipe.toml");
    for other in ["--lr 0.05 --seeds 3", "--lr 0.05 --seeds 2 --seed 5", "--lr 0.05"] {
        let (_, err) = world.train(1, &format!("--data set --epochs 1 --out runs {other}"));
        assert!(err.contains("runs: holds a training run already"), "{other}: {err}");
        assert_eq!(world.text("runs/recipe.toml"), recipe, "{other}: nothing is written before that is known");
    }
    let (_, err) = world.exits(2, "train --resume runs --lr 0.05 --seed 5 --threads 1");
    let told = "the runs in runs were begun differently (seed: 0, now 5; training.lr: 0.1, now 0.05); leave that out";
    assert!(err.contains(told), "{err}");
    assert!(!world.path("runs/seed-5").exists() && world.text("runs/recipe.toml") == recipe);
    world.write("runs/recipe.toml", recipe.replace("\nlr = 0.1\n", "\nlr = 0.05\n"));
    let (_, err) = world.exits(1, "train --resume runs --threads 1");
    let told =
        "the run in runs/seed-0 was begun differently from what runs/recipe.toml says (training.lr: 0.1, now 0.05)";
    assert!(err.contains(told), "{err}");
    world.write("runs/recipe.toml", recipe);
    world.exits(0, "train --resume runs --epochs 2 --threads 1");
    for name in ["runs", "runs/seed-0", "runs/seed-1"] {
        assert!(world.text(&format!("{name}/recipe.toml")).contains("\nepochs = 2\n"), "{name}");
    }
}

#[test]
fn snapshots_answer_together() {
    let world = World::new();
    world.train(0, "--data set --epochs 2 --schedule snapshot --cycles 2 --out run");
    let both = "run/snapshot-1.safetensors,run/snapshot-2.safetensors";
    let (out, _) = world.exits(0, &format!("eval --weights {both} --data set --json"));
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["images"], 12);
    let (_, err) = world.exits(0, &format!("export --weights {both} --out both.onnx"));
    assert!(err.contains("wrote both.onnx: 2 networks"), "{err}");
    let (_, err) = world.exits(2, &format!("export --weights {both} --format torchvision --out both.safetensors"));
    assert!(err.contains("several networks become one file only with --format onnx"), "{err}");
    let (_, err) = world.train(2, "--data set --epochs 3 --schedule snapshot --cycles 2 --out other");
    assert!(err.contains("cycles is 2; it must be a divisor of the epochs, 3"), "{err}");
}

#[test]
fn a_search_for_the_rate_trains_nothing() {
    let world = World::new();
    let (out, _) = world.train(0, "--data set --find-lr --out run");
    assert!(out.contains("suggested: --lr ") && out.contains("as a page: run/find-lr.html"), "{out}");
    assert!(world.text("run/find-lr.html").contains("<svg"));
    assert!(!world.path("run/resume.safetensors").exists());
}

/// Labels that exclude nothing, some of which nobody knows.
#[test]
fn any_number_of_labels_from_a_table_to_probabilities() {
    let world = World::new();
    let mut table = String::from("path,bright,even,split\n");
    for part in ["train", "val", "test"] {
        for (class, bright) in [("a", 0), ("b", 1)] {
            for i in 0..6 {
                let even = if i == 5 { String::new() } else { (1 - i % 2).to_string() };
                table += &format!("set/{part}/{class}/{i}.pgm,{bright},{even},{part}\n");
            }
        }
    }
    world.write("labels.csv", table);
    let options = "--recipe multilabel --data labels.csv --lr 0.01 --epochs 30 --out run";
    let (out, err) = world.train(0, options);
    assert!(out.contains("best by val mean AUC ") && out.contains("mean ROC-AUC "), "{out} {err}");
    assert!(err.contains(" for testing with 2 labels\n"), "{err}");
    let log: Vec<Value> = world.text("run/log.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let epoch = log.last().unwrap();
    assert!(epoch["val_auc"].is_number() && epoch["train_accuracy"].is_number() && epoch.get("val_top1").is_none());
    let evaluated = world.json("run/evaluation.json");
    assert_eq!(evaluated["labels"], serde_json::json!(["bright", "even"]));
    assert_eq!(evaluated["evaluation"]["per_class"][1]["support"], 6, "those of which it is known");
    assert!(evaluated["evaluation"]["per_class"][0]["auc"].as_f64().unwrap() > 0.9);
    let (out, _) = world.exits(0, "predict --weights run/best.safetensors set/test/b/0.pgm --json");
    assert!(out.contains("bright") && Path::new(&world.path("run/report.html")).exists(), "{out}");
    let (_, err) = world.train(2, "--data labels.csv --label-smoothing 0.1 --out other");
    assert!(err.contains("label_smoothing is for mutually exclusive classes"), "{err}");
}

#[test]
fn too_many_pictures_of_a_table_that_are_not_there_end_a_run_before_it_begins() {
    let world = World::new();
    let mut table = String::from("path,label\n");
    for class in ["a", "b"] {
        (0..14).for_each(|i| table += &format!("set/train/{class}/{i}.pgm,{class}\n"));
    }
    world.write("table.csv", table);
    let (_, err) = world.train(2, "--data table.csv --max-bad few");
    assert!(err.contains("a percentage such as 1%"), "{err}");
    let (_, err) = world.train(1, "--data table.csv --epochs 1 --out run");
    assert!(err.contains("4 pictures that it lists do not exist, the first of them"), "{err}");
    assert!(err.contains("--max-bad 0.01 allows 1") && !world.path("run").exists(), "{err}");
    world.train(0, "--data table.csv --epochs 1 --max-bad 50% --out run");
}

/// Options are serialised under the names of a recipe's fields, of which one that is spelled otherwise is refused.
#[test]
fn every_option_lies_over_the_recipe_by_its_name() {
    let world = World::new();
    let options = "--data set --epochs 1 --lr 0.01 --schedule snapshot --cycles 1 --clip-norm 1 --ema 0.5 --balance sampling \
                   --label-smoothing 0.1 --val-fraction 20% --freeze weights --unfreeze-every 1 --body-lr 0.5 --patience 3 \
                   --max-bad 2% --max-steps 9 --accumulate 2 --memory low --augment flip --crop-padding 2 --crop-scale 0.5 \
                   --color-jitter 0.1 --rand-augment 1,3 --random-erasing 0.1 --mixup 0.1 --cutmix 0.2 --drop-rate 0.1 \
                   --momentum 0.8 --weight-decay 0.001 --orientation apply --transparency white --grey16 clip --no-shuffle";
    world.train(0, &format!("{options} --out run"));
    let recipe = world.text("run/recipe.toml");
    let lines = [
        "cycles = 1",
        "clip_norm = 1.0",
        "ema = 0.5",
        "balance = \"sampling\"",
        "val_fraction = 0.2",
        "freeze = \"weights\"",
        "unfreeze_every = 1",
        "body_lr = 0.5",
        "patience = 3",
        "max_bad = 0.02",
        "max_steps = 9",
        "accumulate = 2",
        "memory = \"low\"",
        "crop_padding = 2",
        "crop_scale = 0.5",
        "random_erasing = 0.1",
        "cutmix = 0.2",
        "momentum = 0.8",
        "orientation = \"apply\"",
        "transparency = \"white\"",
        "grey16 = \"clip\"",
        "shuffle = false",
    ];
    for line in lines {
        assert!(recipe.lines().any(|found| found == line), "{line}: {recipe}");
    }
}
