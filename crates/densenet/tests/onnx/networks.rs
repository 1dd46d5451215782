//! Networks of every kind with values that leave nothing out.

use densenet::checkpoint::{Card, Contents, Weights};
use densenet::config::Stem;
use densenet::data::Preprocessing;
use densenet::onnx::proto::{GraphProto, ModelProto};
use densenet::onnx::{self, Options};
use densenet::{Architecture, Config};
use densenet_kernels::random::Stream;
use prost::Message;

use crate::kinds::kinds;

/// A network and all that a file of it is written from.
pub struct Network {
    pub card: Card,
    pub architecture: Architecture,
    pub weights: Weights,
}

impl Network {
    /// Random weights; every gamma, beta, bias and statistic is its own number, and variances are above 0.
    pub fn new(config: Config) -> Self {
        Self::seeded(config, 3)
    }

    /// The same with weights of another seed.
    pub fn seeded(config: Config, seed: u64) -> Self {
        let architecture = Architecture::new(&config).unwrap();
        let random = Stream::new(seed, 1);
        let parameters = (0..architecture.num_parameters() as u64).map(|i| 0.4 * random.normal(i) as f32).collect();
        let running = (0..architecture.num_running() as u64).map(|i| 0.2 + random.uniform(!i) as f32).collect();
        let channels = config.in_channels;
        let card = Card {
            preprocessing: Some(
                Preprocessing::new(config.input_size, vec![0.25; channels], vec![0.5; channels])
                    .with_short_side(2 * config.input_size),
            ),
            labels: (0..config.num_classes).map(|i| format!("class \"{i}\"")).collect(),
            dataset: "made-up".into(),
            seed: 1,
            epoch: 2,
            licence: Some("CC0-1.0".into()),
            ..Card::of(config)
        };
        Self { card, architecture, weights: Weights { parameters, running, quantization: None } }
    }

    pub fn contents(&self) -> Contents<'_> {
        let Weights { parameters, running, quantization } = &self.weights;
        let quantization = quantization.as_ref();
        Contents {
            card: &self.card,
            architecture: &self.architecture,
            parameters,
            running,
            quantization,
            reference: None,
        }
    }

    /// The model as a reader of the file finds it.
    pub fn decoded(&self, options: Options) -> ModelProto {
        let model = onnx::model(&self.contents(), options);
        let decoded = ModelProto::decode(&*model.encode_to_vec()).unwrap();
        assert_eq!(decoded, model);
        decoded
    }

    pub fn graph(&self, options: Options) -> GraphProto {
        self.decoded(options).graph.unwrap()
    }
}

/// A small network of every kind, one of a single block and a single class, and one without a classifier.
pub fn small() -> Vec<Network> {
    let base = Config {
        stem: Stem::Cifar,
        block_config: vec![2, 1, 2],
        growth_rate: 4,
        num_init_features: 6,
        bn_size: None,
        num_classes: 3,
        input_size: 17,
        ..Config::preset("densenet121").unwrap()
    };
    let least = Config { block_config: vec![2], num_classes: 1, ..base.clone() };
    let backbone = Config { num_classes: 0, ..base.clone() };
    kinds(&base).into_iter().map(|(_, config)| config).chain([least, backbone]).map(Network::new).collect()
}

pub const OPTIONS: [Options; 3] = [
    Options { fold: false, dynamic_size: false },
    Options { fold: true, dynamic_size: false },
    Options { fold: true, dynamic_size: true },
];
