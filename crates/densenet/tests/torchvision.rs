//! Files for torchvision hold what its module has, no more and no less, and come back.

use std::collections::BTreeSet;

use densenet::checkpoint::{Card, Contents, Reader};
use densenet::data::Preprocessing;
use densenet::{Config, DenseNet, timm, torchvision};
use safetensors::{Dtype, SafeTensors};

fn card(config: &Config) -> Card {
    Card {
        preprocessing: Some(Preprocessing::new(32, [0.1; 3], [0.2; 3]).with_short_side(40)),
        labels: vec!["cat".into(), "dog".into()],
        dataset: "made-up".into(),
        seed: 1,
        batches_tracked: 1 << 40,
        ..Card::of(config.clone())
    }
}

#[test]
fn parameters_statistics_and_counters() {
    let small = Config {
        block_config: vec![1, 2],
        num_init_features: 7,
        growth_rate: 3,
        num_classes: 2,
        bn_size: Some(1),
        ..Config::preset("densenet121").unwrap()
    };
    let network = DenseNet::<f32>::new(&small, 4).unwrap();
    let (card, architecture) = (card(&small), network.architecture());
    let contents = Contents {
        card: &card,
        architecture,
        parameters: network.parameters(),
        running: network.running(),
        quantization: None,
        reference: None,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    torchvision::save(&contents, &path).unwrap();

    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let counters: Vec<_> = architecture.norms().map(|norm| format!("{}.num_batches_tracked", norm.name)).collect();
    for name in &counters {
        let counter = file.tensor(name).unwrap();
        assert_eq!(
            (counter.dtype(), counter.shape(), counter.data()),
            (Dtype::I64, &[][..], &[0, 0, 0, 0, 0, 1, 0, 0][..])
        );
    }
    let values = architecture.parameters.iter().chain(&architecture.running).map(|tensor| tensor.name.clone());
    let wanted: BTreeSet<String> = values.chain(counters).collect();
    assert_eq!(file.names().into_iter().map(String::from).collect::<BTreeSet<_>>(), wanted);

    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(reader.card().unwrap(), card);
    let weights = reader.weights(architecture).unwrap();
    assert!(weights.parameters == network.parameters() && weights.running == network.running());
}

/// timm's own loading of such a folder is for who has it: `create_model("local-dir:FOLDER", pretrained=True)`.
#[test]
fn a_folder_for_timm_comes_back() {
    let config = Config { num_classes: 2, ..Config::preset("densenet121").unwrap() };
    let network = DenseNet::<f32>::new(&config, 3).unwrap();
    let card = card(&config);
    let (architecture, parameters, running) = (network.architecture(), network.parameters(), network.running());
    let folder = tempfile::tempdir().unwrap();
    let contents = Contents { card: &card, architecture, parameters, running, quantization: None, reference: None };
    timm::save(&contents, folder.path()).unwrap();
    let described: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("config.json")).unwrap()).unwrap();
    assert_eq!((&described["architecture"], &described["global_pool"]), (&"densenet121".into(), &"avg".into()));
    assert_eq!(described["pretrained_cfg"]["crop_pct"], 0.8);
    let (back, read) = DenseNet::load(folder.path()).unwrap();
    assert!(back.parameters() == network.parameters() && back.running() == network.running());
    assert_eq!((read.preprocessing, read.labels), (card.preprocessing.clone(), card.labels.clone()));
    let seed = Config::preset("seed").unwrap();
    let other = DenseNet::<f32>::new(&seed, 3).unwrap();
    let (architecture, parameters, running) = (other.architecture(), other.parameters(), other.running());
    let card = Card::of(seed);
    let error = timm::save(
        &Contents { card: &card, architecture, parameters, running, quantization: None, reference: None },
        folder.path(),
    )
    .unwrap_err();
    assert!(error.to_string().contains("timm has no such network: it has densenet121"), "{error}");
}
