//! Explanations by the program of the built-in network for CIFAR-10.

use std::fs;

use npyz::NpyFile;
use serde_json::Value;

use crate::folder::Folder;

/// A folder to work in, with pictures of 32x32.
struct World(Folder);

works_in_its_folder!(World);

impl World {
    fn new() -> Self {
        let world = Self(Folder::new());
        for (number, name) in ["a.ppm", "more/a.ppm", "<b>.ppm"].into_iter().enumerate() {
            let pixel = |i: usize| (i * (31 + number) + i / 96 * 57) as u8 % 250;
            let pixels: Vec<u8> = (0..32 * 32 * 3).map(pixel).collect();
            world.write(name, [b"P6 32 32 255\n".as_slice(), &pixels].concat());
        }
        world
    }

    /// What predict says of `a.ppm`.
    fn predicted(&self) -> Value {
        let (out, _) = self.exits(0, "predict --weights cifar10 a.ppm --top 10 --map maps --json");
        serde_json::from_str::<Value>(&out).unwrap()["predictions"][0].take()
    }

    /// Shape and values of a map in a folder: the only one of whose name these are the beginning and the end.
    fn map(&self, folder: &str, [begin, end]: [&str; 2]) -> (Vec<u64>, Vec<f32>) {
        let names = fs::read_dir(self.path(folder)).unwrap().map(|entry| entry.unwrap().file_name());
        let found: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        let fits: Vec<_> = found.iter().filter(|name| name.starts_with(begin) && name.ends_with(end)).collect();
        assert_eq!(fits.len(), 1, "{begin} {end}: {found:?}");
        array(&self.path(folder).join(fits[0]))
    }
}

fn array(path: &std::path::Path) -> (Vec<u64>, Vec<f32>) {
    let bytes = fs::read(path).unwrap();
    let npy = NpyFile::new(&bytes[..]).unwrap();
    (npy.shape().to_vec(), npy.into_vec().unwrap())
}

fn mean(values: &[f32]) -> f64 {
    values.iter().copied().map(f64::from).sum::<f64>() / values.len() as f64
}

#[test]
fn the_map_of_an_answer_is_its_logit() {
    let world = World::new();
    let predicted = world.predicted();
    let (shape, map) = array(&world.path(predicted["map"].as_str().unwrap()));
    assert_eq!(shape, [8, 8]);
    world.exits(0, "predict --weights cifar10 a.ppm more --logits logits.npy");
    let (shape, logits) = array(&world.path("logits.npy"));
    assert_eq!(shape, [2, 10]);
    // The bias is the same for every picture.
    let class = predicted["classes"][0]["index"].as_u64().unwrap() as usize;
    let name = predicted["classes"][0]["label"].as_str().unwrap();
    world.exits(0, &format!("explain --weights cifar10 more/a.ppm --class {name} --out other"));
    let (_, other) = world.map("other", ["a.ppm.", ".cam.npy"]);
    let (by_maps, by_logits) = (mean(&map) - mean(&other), f64::from(logits[class]) - f64::from(logits[10 + class]));
    assert!((by_maps - by_logits).abs() < 1e-5 && by_maps != 0.0, "{by_maps} {by_logits}");
    // The same picture has the same map, whichever command made it.
    world.exits(0, "explain --weights cifar10 a.ppm --out why");
    assert_eq!(world.map("why", ["a.ppm.", ".cam.npy"]).1, map);
}

#[test]
fn maps_go_with_lines_and_arrays_and_inputs_of_one_name() {
    let world = World::new();
    world.exits(0, "predict --weights cifar10 a.ppm more --map maps --out p.jsonl");
    let lines = fs::read_to_string(world.path("p.jsonl")).unwrap();
    let maps: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["map"].take()).collect();
    assert!(maps.len() == 2 && maps[0] != maps[1], "{maps:?}");
    assert!(maps.iter().all(|map| world.path(map.as_str().unwrap()).is_file()), "{maps:?}");
    assert_eq!(world.exits(0, "predict --weights cifar10 a.ppm").0.lines().count(), 1);
    let (_, err) = world.exits(2, "predict --weights cifar10,cifar10 a.ppm --map maps");
    assert!(err.contains("--map takes one weight file"), "{err}");
}

#[test]
fn a_page_shows_two_classes_against_each_other_and_what_covering_does() {
    let world = World::new();
    let words = "explain --weights cifar10 a.ppm <b>.ppm --class cat --against dog --occlusion 16 --out why";
    let (_, err) = world.exits(0, words);
    assert!(err.contains("wrote why/index.html: 2 pictures"), "{err}");
    let page = fs::read_to_string(world.path("why/index.html")).unwrap();
    for part in
        ["cat against dog", "Class activation map", "Occlusion", "&lt;b&gt;.ppm", "the difference of the logits"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<b>.ppm") && !page.contains("http://") && !page.contains("https://"), "one page, escaped");
    // The map of the contrast is the difference of the maps of the classes.
    let map = |folder: &str| world.map(folder, ["a.ppm.", ".cam.npy"]).1;
    for class in ["cat", "dog"] {
        world.exits(0, &format!("explain --weights cifar10 a.ppm --class {class} --out {class}"));
    }
    let (both, cat, dog) = (map("why"), map("cat"), map("dog"));
    assert!((0..64).all(|place| (both[place] - (cat[place] - dog[place])).abs() < 1e-5));
    let (shape, drops) = world.map("why", ["a.ppm.", ".occlusion.npy"]);
    assert!(shape == [32, 32] && drops.iter().any(|&drop| drop != drops[0]));
}

#[test]
fn gradients_are_shown_beside_each_other() {
    let world = World::new();
    let words = "--method cam,grad-cam,integrated-gradients,smooth-grad,cam --steps 6 --samples 3 --class cat";
    world.exits(0, &format!("explain --weights cifar10 a.ppm {words} --out why"));
    let map = |folder: &str, method: &str| world.map(folder, ["a.ppm.", &format!(".{method}.npy")]);
    let page = fs::read_to_string(world.path("why/index.html")).unwrap();
    for part in ["Grad-CAM", "block 3 of 3, of 8x8 places", "Integrated gradients", "Mean over 3 copies", "add up to "]
    {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches("<b>Class activation map</b>").count(), 1, "each method once");
    // Of the last block, Grad-CAM is the positive part of the exact map, divided by the places.
    let ((_, exact), (shape, coarse)) = (map("why", "cam"), map("why", "grad-cam"));
    assert_eq!(shape, [8, 8]);
    assert!(exact.iter().zip(&coarse).all(|(exact, map)| (exact.max(0.0) / 64.0 - map).abs() < 1e-5));
    for method in ["integrated-gradients", "smooth-grad"] {
        let (shape, values) = map("why", method);
        assert_eq!(shape, [32, 32]);
        assert!(values.iter().any(|&value| value > 0.0) && values.iter().any(|&value| value < 0.0), "{method}");
    }
    // An earlier block is finer, and noise is the same at every run.
    let words = "--method grad-cam,smooth-grad --block 1 --samples 3 --class cat";
    world.exits(0, &format!("explain --weights cifar10 a.ppm {words} --out again"));
    assert_eq!(map("again", "grad-cam").0, [32, 32]);
    assert_eq!(map("again", "smooth-grad").1, map("why", "smooth-grad").1);
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let world = World::new();
    let refused = |words: &str| world.exits(2, &format!("explain --weights cifar10 a.ppm --out why {words}")).1;
    assert!(refused("--method lime").contains("grad-cam"));
    for block in [0, 4] {
        let err = refused(&format!("--method grad-cam --block {block}"));
        assert!(err.contains(&format!("--block {block}: the network has blocks 1 to 3")), "{err}");
    }
    assert!(refused("--block 2").contains("--block is a setting of --method grad-cam"));
    assert!(
        refused("--method smooth-grad --steps 9").contains("--steps is a setting of --method integrated-gradients")
    );
    assert!(refused("--noise 0.1").contains("--noise is a setting of --method smooth-grad"));
    assert!(refused("--method integrated-gradients --steps 0").contains("at least one is needed"));
    assert!(refused("--method smooth-grad --samples 0").contains("at least one is needed"));
    assert!(refused("--method smooth-grad --noise -1").contains("it must be 0 or above"));
    assert!(!world.path("why").exists(), "nothing is left behind");
}

#[test]
fn what_cannot_be_explained_is_said() {
    let world = World::new();
    world.write("broken.png", "no picture");
    let explain = |code, words: &str| world.exits(code, &format!("explain --weights cifar10 --out why {words}")).1;
    let err = explain(2, "a.ppm --class boat");
    assert!(err.contains("no class is called boat; the most similar of 10 are ") && err.contains("cat"), "{err}");
    assert!(explain(2, "a.ppm --class cat --against cat").contains("they must differ"));
    assert!(explain(2, "a.ppm --against cat").contains("--class"));
    assert!(explain(2, "a.ppm --occlusion 33").contains("1 to 32 fit"));
    assert!(explain(1, "broken.png").contains("nothing to explain"));
    assert!(!world.path("why").exists(), "nothing is left behind");
    let err = explain(1, "broken.png a.ppm");
    assert!(err.contains("broken.png: ") && err.contains("1 of 2 inputs could not be read"), "{err}");
    assert!(world.path("why/index.html").is_file());
}

#[test]
fn heads_that_are_no_sums_over_places_are_explained_by_other_methods() {
    let world = World::new();
    let words = "--weights cifar10 --head-pool max a.ppm";
    let (_, err) = world.exits(2, &format!("explain {words} --out why"));
    assert!(
        err.contains("max pooling before the classifier")
            && err.contains("Grad-CAM and occlusion work with any network"),
        "{err}"
    );
    world.exits(2, &format!("predict {words} --map maps"));
    let (_, err) = world.exits(0, &format!("explain {words} --occlusion 32 --out why"));
    assert!(err.contains("no class activation maps: "), "{err}");
    assert_eq!(world.map("why", ["a.ppm.", ".npy"]).0, [32, 32]);
    world.exits(0, &format!("explain {words} --method grad-cam --out coarse"));
    assert_eq!(world.map("coarse", ["a.ppm.", ".grad-cam.npy"]).0, [8, 8]);
    // Labels that stand by themselves have logits, too.
    let (_, err) = world.exits(0, "explain --weights cifar10 --output sigmoid a.ppm --out labels");
    assert!(err.contains("1 picture"), "{err}");
}
