//! Pictures of what a network is and of what its layers read, and what is left of it without weak connections.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::folder::Folder;

/// A network of 3 channels and 5 classes.
const WEIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../densenet/tests/goldens/checkpoints/torchvision.pth");

/// A folder to work in, with grey pictures of 16x16 of five classes in `set`, and weights under an awkward name.
struct World(Folder);

works_in_its_folder!(World);

impl World {
    fn new() -> Self {
        let world = Self(Folder::new());
        for class in 0..5 {
            for number in 0..3 {
                let path = world.path(&format!("set/{class}/{number}.pgm"));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                let pixels = (0..256).map(|i| (i * 31 + number * 57 + class * 45) as u8);
                fs::write(path, [b"P5 16 16 255\n".as_slice(), &pixels.collect::<Vec<u8>>()].concat()).unwrap();
            }
        }
        fs::copy(WEIGHTS, world.path("a&<b>.pth")).unwrap();
        world
    }
}

/// The text of an SVG file whose elements are all closed, in turn, and whose texts hold no bare `<` or `&`.
fn well_formed(path: &Path) -> String {
    let svg = fs::read_to_string(path).unwrap();
    let mut open = Vec::new();
    for piece in svg.trim_end().split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("a tag ends");
        let entities = [tag, text].into_iter().flat_map(|part| part.split('&').skip(1));
        entities.for_each(|entity| {
            assert!(["amp;", "lt;", "gt;", "quot;"].iter().any(|e| entity.starts_with(e)), "{entity}")
        });
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{svg}"),
            None => open.push(tag.split(' ').next().unwrap()),
        }
    }
    assert!(open.is_empty() && svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "{open:?}");
    svg
}

#[test]
fn a_picture_and_numbers_of_what_layers_read() {
    let world = World::new();
    let (out, err) = world.exits(0, "reuse --weights a&<b>.pth");
    assert!(out.starts_with("block  connections") && err.contains("wrote reuse.svg"), "{out}{err}");
    let svg = well_formed(&world.path("reuse.svg"));
    assert!(svg.contains("Feature reuse in a&amp;&lt;b&gt;.pth"), "{svg}");
    fs::remove_file(world.path("reuse.svg")).unwrap();
    let told = world.object("reuse --weights a&<b>.pth --json");
    assert!(!world.path("reuse.svg").exists() && told.get("cut").is_none());
    let blocks = told["blocks"].as_array().unwrap();
    let connections = |block: &Value| {
        let readings = block["layers"].as_array().unwrap().iter().chain([&block["after"]]);
        readings.map(|reading| reading["weights"].as_array().unwrap().len()).sum::<usize>()
    };
    assert_eq!(svg.matches("class=\"cell\"").count(), blocks.iter().map(connections).sum::<usize>());
    assert_eq!(blocks.last().unwrap()["after"]["layer"], "classifier");
    world.exits(0, "reuse --weights a&<b>.pth --json --out other.svg");
    assert_eq!(well_formed(&world.path("other.svg")), svg);
}

#[test]
fn accuracy_without_weak_connections() {
    let world = World::new();
    let words = "reuse --weights a&<b>.pth --preset imagenet --size 32 --data set --json --threads 1";
    let none = &world.object(&format!("{words} --cut 0"))["cut"];
    assert_eq!((&none["cut_connections"], &none["params"], &none["macs"]), (&0.into(), &0.into(), &0.into()));
    assert_eq!(none["before"], none["after"]);
    let most = &world.object(&format!("{words} --cut 1"))["cut"];
    assert_eq!(most["before"], none["before"]);
    assert_ne!(most["after"]["loss"], most["before"]["loss"]);
    let number = |name: &str| most[name].as_u64().unwrap();
    assert!(0 < number("cut_connections") && number("cut_connections") < number("connections"));
    assert!(0 < number("params") && number("params") < number("of_params") && number("macs") < number("of_macs"));
    let (out, _) = world.exits(0, &format!("{} --cut 1 --out r.svg", words.replace(" --json", "")));
    assert!(
        out.contains("\nbelow 1: ") && out.contains("\nbefore: accuracy ") && out.contains("\nafter:  accuracy "),
        "{out}"
    );
}

#[test]
fn wrong_use_is_told() {
    let world = World::new();
    let (_, err) = world.exits(2, "reuse --weights a&<b>.pth --cut 0.2");
    assert!(err.contains("--data"), "{err}");
    let (_, err) = world.exits(2, "reuse --weights a&<b>.pth --preset imagenet --size 32 --data set --cut 150%");
    assert!(err.contains("1.5") && err.contains("from 0 to 1") && !world.path("reuse.svg").exists(), "{err}");
    let (_, err) = world.exits(1, "reuse --weights nothing.pth");
    assert!(err.contains("nothing.pth"), "{err}");
    let (_, err) = world.exits(1, "reuse --weights a&<b>.pth --out nowhere/r.svg");
    assert!(err.contains("nowhere/r.svg"), "{err}");
}

#[test]
fn networks_are_drawn() {
    let world = World::new();
    for name in ["seed", "densenet264", "densenet-bc-40-12", "a&<b>.pth"] {
        let (out, err) = world.exits(0, &format!("info {name} --draw net.svg"));
        assert!(out.contains("multiply-adds") && err.contains("wrote net.svg"), "{out}{err}");
        let svg = well_formed(&world.path("net.svg"));
        assert!(svg.contains(">Dense block 3<") || name.starts_with('a'), "{name}: {svg}");
    }
    assert!(well_formed(&world.path("net.svg")).contains("a&amp;&lt;b&gt;.pth"));
    let (_, err) = world.exits(1, "info seed --draw nowhere/net.svg");
    assert!(err.contains("nowhere/net.svg"), "{err}");
}
