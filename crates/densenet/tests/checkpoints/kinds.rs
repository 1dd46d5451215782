//! Checkpoints of the kinds that people have, against PyTorch's logits. `../goldens/kinds.py` makes both.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use densenet::checkpoint::{NewMaps, Reader};
use densenet::config::{HeadPool, Stem, StemShape};
use densenet::data::{Interpolation, Resize};
use densenet::{Architecture, Config, DenseNet};
use ndarray::Array4;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::outputs::Outputs;

/// What logits may differ by, relatively and in norm.
const TOLERANCE: f64 = 1e-5;

fn kind(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/kinds").join(name)
}

fn outputs() -> (Outputs, Array4<f32>) {
    let outputs = Outputs::load(&kind("outputs.safetensors"));
    let images = outputs.singles("images");
    (outputs, Array4::from_shape_vec((4, 3, 16, 16), images).unwrap())
}

/// The network of `path`, of a configuration that is `changed` where the file does not tell it.
fn network(path: &Path, entry: Option<&str>, changed: impl FnOnce(Config) -> Config) -> DenseNet {
    let mut reader = Reader::open_entry(path, entry).unwrap_or_else(|error| panic!("{error}"));
    assert!(!reader.has_card(), "{}", path.display());
    let config = changed(reader.infer().unwrap_or_else(|error| panic!("{error}")).config);
    let weights = reader.weights(&Architecture::new(&config).unwrap()).unwrap_or_else(|error| panic!("{error}"));
    DenseNet::from_arenas(&config, weights.parameters, weights.running).unwrap()
}

fn assert_answers(name: &str, network: &DenseNet) {
    let (outputs, images) = outputs();
    let logits = network.logits(images.view()).unwrap();
    outputs.assert_near(&format!("{name} logits"), logits.iter().map(|&v| v.into()), TOLERANCE);
}

#[test]
fn what_a_file_tells_is_heard() {
    for name in [
        "new-maps-first.pth",
        "legacy-whole-module.pth",
        "legacy-0.3.pth",
        "head-flat.pth",
        "head-mlp.pth",
        "head-sigmoid.pth",
        "ema.pth",
        "any-key.pth",
        "other-metadata.safetensors",
        "shards/model.safetensors.index.json",
        "shards",
        "timm-hub-folder",
    ] {
        let network = network(&kind(name), None, |config| config);
        let short = name.split(['/', '.']).next().unwrap();
        assert_answers(if short == "legacy-0" { "legacy-0.3" } else { short }, &network);
    }
    let flat = Reader::open(&kind("head-flat.pth")).unwrap().infer().unwrap().config;
    assert_eq!((flat.head_pool, flat.input_size), (HeadPool::None, 16));
    let hidden = Reader::open(&kind("head-mlp.pth")).unwrap().infer().unwrap().config;
    assert_eq!((hidden.hidden, hidden.num_classes), (vec![12], 5));
}

#[test]
fn what_a_file_does_not_tell_is_said() {
    let pooled = |pool: &str| {
        let pool = Some(pool.parse().unwrap());
        move |config: Config| Config { stem: Stem::of(StemShape { pool, ..config.stem.shape() }), ..config }
    };
    let two =
        network(&kind("stem-pool-2x2.pth"), None, |config| Config { final_relu: false, ..pooled("max:2")(config) });
    assert_answers("stem-pool-2x2", &two);
    assert_answers("stem-pool-average", &network(&kind("stem-pool-average.pth"), None, pooled("average:2")));
    let max = |config| Config { head_pool: HeadPool::Max, ..config };
    assert_answers("head-max", &network(&kind("head-max.pth"), None, max));
    let options = |name: &str| -> Vec<&str> {
        let inferred = Reader::open(&kind(name)).unwrap().infer().unwrap();
        inferred.assumptions.into_iter().map(|assumption| assumption.option).collect()
    };
    for option in ["--stem-stride", "--stem-pool", "--final-relu", "--head-pool", "--size", "--output"] {
        assert!(options("stem-pool-2x2.pth").contains(&option), "{option}");
    }
    assert!(!options("head-flat.pth").contains(&"--head-pool"));
}

#[test]
fn a_backbone_makes_features() {
    let (outputs, images) = outputs();
    let backbone = network(&kind("no-head.pth"), None, |config| config);
    let error = backbone.logits(images.view()).unwrap_err().to_string();
    assert!(error.contains("no classifier"), "{error}");
    let features = backbone.features(images.view()).unwrap().pooled;
    outputs.assert_near("no-head logits", features.iter().map(|&v| v.into()), TOLERANCE);
}

#[test]
fn running_means_tell_the_order_and_a_person_overrules_them() {
    let order = |name: &str, said: Option<NewMaps>| {
        let mut reader = Reader::open(&kind(name)).unwrap().with_new_maps(said);
        let architecture = Architecture::new(&reader.infer().unwrap().config).unwrap();
        reader.weights_and_order(&architecture).unwrap()
    };
    assert_eq!(order("new-maps-first.pth", None).1, Some(NewMaps::First));
    assert_eq!(order("head-mlp.pth", None).1, Some(NewMaps::Last));
    let (as_stored, said) = order("new-maps-first.pth", Some(NewMaps::Last));
    assert_eq!(said, Some(NewMaps::Last));
    assert_ne!(as_stored, order("new-maps-first.pth", None).0);
    assert_eq!(order("new-maps-first.pth", Some(NewMaps::First)).0, order("new-maps-first.pth", None).0);
}

#[test]
fn an_average_is_taken_and_said_and_another_entry_can_be() {
    let average = Reader::open(&kind("ema.pth")).unwrap().infer().unwrap();
    assert!(average.notes[0].contains("model_ema, the average of the weights, is used"), "{:?}", average.notes);
    let model = network(&kind("ema.pth"), Some("model"), |config| config);
    assert!(model.parameters().iter().all(|&value| value == 0.0));
    let error = Reader::open_entry(&kind("ema.pth"), Some("net")).err().unwrap().to_string();
    assert!(error.contains("ema.pth") && error.contains("no entry net in it; it has model, model_ema"), "{error}");
}

#[test]
fn a_folder_of_a_hub_tells_how_pictures_are_prepared() {
    let (_, card) = DenseNet::load(kind("timm-hub-folder")).unwrap();
    let preprocessing = card.preprocessing().unwrap();
    assert_eq!((preprocessing.size, preprocessing.resized_side()), (32, 36));
    assert_eq!((preprocessing.resize, preprocessing.interpolation), (Resize::Short, Interpolation::Bicubic));
    let inferred = Reader::open(&kind("timm-hub-folder")).unwrap().infer().unwrap();
    assert!(inferred.assumptions.iter().any(|assumption| assumption.option == "--head-pool"));
    let folder = TempDir::new().unwrap();
    std::fs::copy(kind("timm-hub-folder/model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    std::fs::write(folder.path().join("config.json"), r#"{"global_pool":"max"}"#).unwrap();
    let said = Reader::open(folder.path()).unwrap().infer().unwrap();
    assert_eq!(said.config.head_pool, HeadPool::Max);
    let config = said.config.clone();
    let said = said.with(config);
    assert!(said.assumptions.iter().all(|assumption| assumption.option != "--head-pool"));
    assert_eq!((card.label(4), card.licence.as_deref()), ("kind-4".into(), Some("apache-2.0")));
}

#[test]
fn shards_that_do_not_fit_their_index_are_refused() {
    let folder = TempDir::new().unwrap();
    let index = folder.path().join("model.safetensors.index.json");
    let refusal = |text: &str| {
        std::fs::write(&index, text).unwrap();
        Reader::open(&index).err().unwrap().to_string()
    };
    for (text, part) in [
        ("{}", "weight_map"),
        (r#"{"weight_map":{}}"#, "it names 0 files"),
        (r#"{"weight_map":{"a":"../../etc/passwd"}}"#, "must be in the same folder"),
        (r#"{"weight_map":{"a":"missing.safetensors"}}"#, "missing.safetensors"),
    ] {
        let error = refusal(text);
        assert!(error.contains(part), "{error}");
    }
    std::fs::copy(kind("other-metadata.safetensors"), folder.path().join("part.safetensors")).unwrap();
    let error = refusal(r#"{"weight_map":{"stem.0.weight":"part.safetensors"}}"#);
    assert!(error.contains("is in a file, but not in the index"), "{error}");
}

#[test]
fn torchscript_is_named_with_the_line_that_converts_it() {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for name in ["net/data.pkl", "net/code/__torch__/torch/nn.py"] {
        archive.start_file(name, stored).unwrap();
        archive.write_all(b"\x80\x02}.").unwrap();
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("net.pt");
    std::fs::write(&path, archive.finish().unwrap().into_inner()).unwrap();
    let error = Reader::open(&path).err().unwrap().to_string();
    assert!(error.contains("net.pt: TorchScript") && error.contains("state_dict(), \"weights.pth\")"), "{error}");
}

#[test]
fn a_backbone_begins_a_run_with_a_new_classifier() {
    let mut reader = Reader::open(&kind("no-head.pth")).unwrap();
    let held = Architecture::new(&reader.infer().unwrap().config).unwrap();
    let wanted = Architecture::new(&Config { num_classes: 3, ..held.config.clone() }).unwrap();
    let (weights, notes) = reader.initial(&wanted, &[], 1).unwrap();
    assert!(notes[0].contains("no classifier: a new one is drawn"), "{notes:?}");
    let stored = reader.weights(&held).unwrap();
    assert_eq!(weights.parameters[..held.num_parameters()], stored.parameters);
    assert_eq!(weights.running, stored.running);
    assert!(weights.parameters[held.num_parameters()..].iter().any(|&value| value != 0.0));
}

#[test]
fn other_classes_begin_with_a_new_classifier() {
    let mut reader = densenet::models::open(Path::new("cifar10")).unwrap();
    let (known, architecture) = (reader.card().unwrap().labels, Architecture::new(&reader.config().unwrap()).unwrap());
    let classifier = architecture.classifier[0].weight.clone();
    let stored = reader.weights(&architecture).unwrap();
    let (same, notes) = reader.initial(&architecture, &known, 1).unwrap();
    assert!(same == stored && notes.is_empty(), "{notes:?}");
    let others: Vec<String> = (0..10).map(|class| format!("class {class}")).collect();
    let (begun, notes) = reader.initial(&architecture, &others, 1).unwrap();
    assert_eq!(notes, ["the file has other classes (airplane, ..., not class 0, ...): a new classifier is drawn"]);
    assert_eq!(begun.parameters[..classifier.start], stored.parameters[..classifier.start]);
    assert_ne!(begun.parameters[classifier.clone()], stored.parameters[classifier]);
}
