//! What a graph must be to be one: names that are made before they are read, and shapes that fit.

use std::collections::{BTreeMap, BTreeSet};

use densenet::config::{HeadPool, PRESETS, PoolKind};
use densenet::onnx::proto::{Extent, FLOAT, GraphProto, TensorProto, ValueInfoProto};
use densenet::onnx::{self, Options};
use densenet::{Card, Config};

use crate::networks::{Network, OPTIONS, small};

/// Every preset, with the classes of a small head.
fn presets() -> impl Iterator<Item = Network> {
    PRESETS.into_iter().map(|name| Network::new(Config { num_classes: 7, ..Config::preset(name).unwrap() }))
}

fn extents(value: &ValueInfoProto) -> Vec<String> {
    let tensor = value.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap();
    assert_eq!(tensor.elem_type, Some(FLOAT));
    let dims = &tensor.shape.as_ref().unwrap().dim;
    let text = |extent: &Extent| match extent {
        Extent::DimValue(value) => value.to_string(),
        Extent::DimParam(name) => name.clone(),
    };
    dims.iter().map(|dim| text(dim.value.as_ref().unwrap())).collect()
}

#[test]
fn inputs_outputs_and_versions() {
    for network in small() {
        for options in OPTIONS {
            let model = network.decoded(options);
            assert_eq!((model.ir_version, model.opset_import[0].version), (Some(8), Some(17)));
            let graph = model.graph.unwrap();
            let config = &network.card.config;
            let (size, channels) = (config.input_size.to_string(), config.in_channels.to_string());
            let sides = if options.dynamic_size { ["height", "width"] } else { [&*size; 2] };
            assert_eq!(extents(&graph.input[0]), ["batch", &channels, sides[0], sides[1]]);
            let (name, made) = match config.num_classes {
                0 => ("features", network.architecture.num_features),
                classes => ("logits", classes),
            };
            assert_eq!(graph.output[0].name.as_deref(), Some(name));
            assert_eq!(extents(&graph.output[0]), ["batch", &made.to_string()]);
            assert_eq!((graph.input.len(), graph.output.len()), (1, 1));
        }
    }
}

#[test]
fn every_preset_is_a_sound_graph() {
    for network in presets().chain(small()) {
        let norms = network.architecture.norms().count();
        let layers = || network.architecture.blocks.iter().flat_map(|block| &block.layers);
        let bottlenecks = layers().filter(|layer| layer.bottleneck.is_some()).count();
        let foldable = bottlenecks + usize::from(network.architecture.stem_norm.is_some());
        for (fold, left) in [(false, norms), (true, norms - foldable)] {
            let graph = network.graph(Options { fold, dynamic_size: false });
            let count = |kind: &str| graph.node.iter().filter(|node| node.op_type.as_deref() == Some(kind)).count();
            assert_eq!(count("BatchNormalization"), left, "{:?}", network.card.config);
            let config = &network.card.config;
            assert_eq!(count("Relu"), norms - usize::from(!config.final_relu) + config.hidden.len());
            let stem_pools = |kind| network.architecture.stem_pool.filter(|pool| pool.kind == kind).iter().len();
            let transitions = network.architecture.blocks.len() - 1;
            assert_eq!(count("MaxPool"), stem_pools(PoolKind::Max));
            assert_eq!(count("AveragePool"), stem_pools(PoolKind::Average) + transitions);
            assert_eq!(count("GlobalAveragePool"), usize::from(config.head_pool == HeadPool::Average));
            assert_eq!(count("GlobalMaxPool"), usize::from(config.head_pool == HeadPool::Max));
            let convs = 1 + layers().count() + bottlenecks + transitions;
            assert_eq!((count("Conv"), count("Gemm")), (convs, network.architecture.classifier.len()));
            check_names(&graph);
            check_channels(&graph, network.architecture.num_features);
        }
    }
}

/// Each value is made once, before it is read; each weight is read once; nothing else is there.
fn check_names(graph: &GraphProto) {
    let mut weights: BTreeSet<&str> = BTreeSet::new();
    for tensor in &graph.initializer {
        assert!(weights.insert(tensor.name.as_deref().unwrap()), "{:?} twice", tensor.name);
        let elements: i64 = tensor.dims.iter().product();
        assert_eq!(tensor.raw_data.as_ref().unwrap().len() as i64, 4 * elements, "{:?}", tensor.name);
    }
    let mut made: BTreeSet<&str> = graph.input.iter().map(|input| input.name.as_deref().unwrap()).collect();
    for node in &graph.node {
        for input in &node.input {
            assert!(made.contains(&**input) || weights.remove(&**input), "{input} is not there for {:?}", node.name);
        }
        assert_eq!(node.output.len(), 1);
        assert!(made.insert(&node.output[0]), "{} twice", node.output[0]);
    }
    assert!(weights.is_empty(), "not read: {weights:?}");
    assert_eq!(graph.node.last().unwrap().output[0], graph.output[0].name.as_deref().unwrap());
}

/// Channels of each value, as the weights along the way have it; the last maps become so many `features`.
fn check_channels(graph: &GraphProto, features: usize) {
    let weights: BTreeMap<&str, &TensorProto> =
        graph.initializer.iter().map(|tensor| (tensor.name.as_deref().unwrap(), tensor)).collect();
    let image: i64 = extents(&graph.input[0])[1].parse().unwrap();
    let mut channels = BTreeMap::from([("images", image)]);
    for node in &graph.node {
        let input = channels[&*node.input[0]];
        let weight = node.input.get(1).and_then(|name| weights.get(&**name));
        let output = match (node.op_type.as_deref().unwrap(), weight) {
            ("Conv" | "Gemm", Some(weight)) => {
                assert_eq!(weight.dims[1], input, "{:?}", node.name);
                weight.dims[0]
            }
            ("BatchNormalization", Some(_)) => {
                assert!(node.input[1..].iter().all(|name| weights[&**name].dims == [input]), "{:?}", node.name);
                input
            }
            ("Concat", None) => node.input.iter().map(|name| channels[&**name]).sum(),
            ("Add", None) => {
                assert_eq!(channels[&*node.input[1]], input);
                input
            }
            ("Relu" | "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool", None) => input,
            ("Flatten", None) => features as i64,
            other => panic!("{other:?}"),
        };
        channels.insert(&node.output[0], output);
    }
    assert_eq!(channels[graph.output[0].name.as_deref().unwrap()].to_string(), extents(&graph.output[0])[1]);
}

#[test]
fn what_the_file_says_of_itself() {
    let network = &small()[0];
    let texts: BTreeMap<String, String> = network
        .decoded(Options::default())
        .metadata_props
        .into_iter()
        .map(|entry| (entry.key.unwrap(), entry.value.unwrap()))
        .collect();
    assert_eq!(texts["model_license"], "CC0-1.0");
    assert_eq!(serde_json::from_str::<Card>(&texts["densenet_card"]).unwrap(), network.card);
}

#[test]
fn equal_weights_are_equal_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a.onnx", "b.onnx"].map(|name| folder.path().join(name));
    for path in &paths {
        onnx::save(&small()[1].contents(), OPTIONS[1], path).unwrap();
    }
    let [first, second] = paths.map(|path| std::fs::read(path).unwrap());
    assert!(first == second && !first.is_empty());
}

#[test]
fn a_network_that_classifies_all_pixels_has_no_open_size() {
    let flat = small().into_iter().find(|network| network.card.config.head_pool == HeadPool::None).unwrap();
    let path = tempfile::tempdir().unwrap().path().join("w.onnx");
    let options = Options { fold: false, dynamic_size: true };
    let error = onnx::save(&flat.contents(), options, &path).unwrap_err().to_string();
    assert!(error.contains("all pixels of 17x17 pictures") && !path.exists(), "{error}");
}
