//! The built-in models are as accurate as their list claims.

use std::ops::ControlFlow;
use std::path::PathBuf;

use densenet::data::DataSet;
use densenet::evaluation::evaluate;
use densenet::models::MODELS;
use densenet::{Architecture, DenseNet};

/// Pictures that another instruction set, which rounds otherwise, may put in another class.
const MARGIN: u64 = 3;

/// Where the data set of that name is on this machine, without a download.
fn folder(name: &str) -> Option<PathBuf> {
    let own = std::env::var_os("DENSENET_DATA").map(PathBuf::from);
    let mut places = own.into_iter().chain([PathBuf::from("/usr/share/datasets")]).map(|place| place.join(name));
    places.find(|place| place.is_dir())
}

#[test]
fn the_accuracy_that_is_listed_is_the_one_that_eval_finds() {
    for model in MODELS {
        let mut reader = model.open().unwrap();
        let card = reader.card().unwrap();
        let Some(folder) = folder(&card.dataset) else {
            println!("{}: not evaluated, {} is not in DENSENET_DATA", model.name, card.dataset);
            continue;
        };
        let weights = reader.weights(&Architecture::new(&card.config).unwrap()).unwrap();
        let network = DenseNet::from_arenas(&card.config, weights.parameters, weights.running).unwrap();
        let test = DataSet::read(folder.to_str().unwrap()).unwrap().test;
        let found = evaluate(&network, &test, card.preprocessing().unwrap(), 100, |_| ControlFlow::Continue(()))
            .unwrap()
            .unwrap();
        assert_eq!(found.images, model.images, "{}", model.name);
        let difference = found.correct.unwrap().abs_diff(model.correct);
        assert!(difference <= MARGIN, "{}: {:?} right, {} are listed", model.name, found.correct, model.correct);
    }
}
