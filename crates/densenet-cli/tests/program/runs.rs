//! Training runs from a recipe to a report, on pictures made up on the spot.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::folder::Folder;

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
    assert_eq!(tuned("fashion-mnist", 32, "grey"), preprocessing("fashion-mnist"));
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
    world.exits(0, "train --resume run --epochs 3");
    world.write("wrong.toml", "[training]\nlearning_rate = 1");
    let (_, err) = world.train(2, "--recipe wrong.toml --data set");
    assert!(err.contains("unknown field `learning_rate`"), "{err}");
    let (_, err) = world.train(1, "--recipe nothing --data set");
    assert!(err.contains("nothing: no such recipe; there is paper-cifar"), "{err}");
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
fn snapshots_answer_together() {
    let world = World::new();
    world.train(0, "--data set --epochs 2 --schedule snapshot --cycles 2 --out run");
    let both = "run/snapshot-1.safetensors,run/snapshot-2.safetensors";
    let (out, _) = world.exits(0, &format!("eval --weights {both} --data set --json"));
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["images"], 12);
    let (_, err) = world.exits(0, &format!("export --weights {both} --out both.onnx"));
    assert!(err.contains("wrote both.onnx: 2 networks"), "{err}");
    let (_, err) = world.exits(2, &format!("export --weights {both} --format torchvision --out both.safetensors"));
    assert!(err.contains("several networks become one file in --format onnx alone"), "{err}");
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
    assert!(err.contains("label_smoothing is for classes that exclude each other"), "{err}");
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
    assert!(err.contains("4 pictures that it tells of are not there, the first of them"), "{err}");
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
