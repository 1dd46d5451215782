//! Networks in eight bits as QDQ graphs.

use std::collections::{BTreeMap, BTreeSet};

use densenet::config::Joining;
use densenet::onnx::proto::{FLOAT, GraphProto, INT8, NodeProto, TensorProto, UINT8};
use densenet::onnx::{self, Options};
use densenet::output::Output;
use densenet::quantization::{Calibration, quantize};
use densenet::{Config, DenseNet};
use densenet_kernels::random::Stream;
use densenet_kernels::reference::Shape4;
use ndarray::Array4;
use prost::Message;

use crate::distance::distance;
use crate::interpreter::run;
use crate::kinds::size;
use crate::networks::{Network, OPTIONS, small};

/// Relative in norm. It is 1e-6 where all bytes are equal, but a value in the middle between two may go the other way.
const TOLERANCE: f64 = 1e-4;

/// The same network with integers.
fn quantized(mut network: Network) -> Network {
    let weights = &mut network.weights;
    let calibration = Calibration::of_norms(&network.architecture, &weights.parameters, &weights.running);
    weights.quantization = Some(quantize(&network.architecture, &weights.parameters, &calibration).unwrap());
    network
}

/// A small network of every kind that becomes integers.
fn networks() -> impl Iterator<Item = Network> {
    let dense = |network: &Network| network.card.config.joining == Joining::Dense;
    small().into_iter().filter(dense).map(quantized)
}

fn images(config: &Config) -> (Shape4, Vec<f64>) {
    let (height, width) = size(config, (config.input_size, config.input_size + 1));
    let shape = Shape4::new(2, config.in_channels, height, width);
    // What the network sees is of single precision.
    let value = |i| f64::from(Stream::new(8, 8).normal(i) as f32);
    (shape, (0..shape.len() as u64).map(value).collect())
}

/// What `network` makes of `images` by itself.
fn made(network: &Network, shape: Shape4, images: &[f64]) -> Vec<f64> {
    let images = images.iter().map(|&value| value as f32).collect();
    let images = Array4::from_shape_vec((shape.n, shape.c, shape.h, shape.w), images).unwrap();
    let config = &network.card.config;
    let ours = DenseNet::of_weights(config, network.weights.clone()).unwrap();
    let made = if config.num_classes == 0 { ours.pooled(images.view()) } else { ours.logits(images.view()) };
    made.unwrap().into_iter().map(f64::from).collect()
}

#[test]
fn the_graph_makes_what_the_integers_make() {
    for network in networks() {
        let (shape, images) = images(&network.card.config);
        let wanted = made(&network, shape, &images);
        for options in OPTIONS {
            let error = distance(run(&network.graph(options), shape, &images), &wanted, 0.0);
            assert!(error <= TOLERANCE, "off by {error:e}, {options:?}, {:?}", network.card.config);
        }
    }
}

/// A batch-norm behind a bottleneck may turn signs around, or leave nothing but its shift.
#[test]
fn channels_that_are_turned_around_or_constant() {
    let config = Config { bn_size: Some(3), ..small().remove(0).card.config };
    let mut network = Network::new(config);
    let norms: Vec<_> =
        network.architecture.blocks.iter().flat_map(|block| &block.layers).map(|layer| &layer.conv.norm).collect();
    for norm in norms {
        let (gamma, beta) = (norm.weight.clone(), norm.bias.clone());
        let values = [-1.0, 0.0, 1e-12, -1e-30].into_iter().cycle().zip([0.5, 0.4, 0.3, -0.2].into_iter().cycle());
        for ((gamma, beta), (of_gamma, of_beta)) in gamma.zip(beta).zip(values) {
            (network.weights.parameters[gamma], network.weights.parameters[beta]) = (of_gamma, of_beta);
        }
    }
    let network = quantized(network);
    let (shape, images) = images(&network.card.config);
    let graph = network.graph(Options::default());
    let error = distance(run(&graph, shape, &images), &made(&network, shape, &images), 0.0);
    assert!(error <= TOLERANCE, "off by {error:e}");
    // A runtime makes 32-bit integers of biases.
    for [scale, bias] in graph.initializer.iter().filter_map(|tensor| {
        let name = tensor.name.as_deref()?.strip_suffix(".weight_scale")?;
        Some([floats(tensor), floats(of_name(&graph, &format!("{name}.bias")))])
    }) {
        assert!(scale.iter().zip(bias).all(|(&scale, bias)| scale > 0.0 && (bias / scale).abs() < i32::MAX as f32));
    }
}

#[test]
fn several_networks_of_integers_are_one_graph() {
    let networks = [17, 23].map(|seed| quantized(Network::seeded(small().remove(0).card.config, seed)));
    let members: Vec<_> = networks.iter().map(|network| (network.contents(), Output::softmax())).collect();
    let graph = onnx::average(&networks[0].card, &members, Options::default()).graph.unwrap();
    let (shape, images) = images(&networks[0].card.config);
    let softmax = |logits: &[f64]| -> Vec<f64> {
        let of = |row: &[f64]| row.iter().map(|v| v.exp() / row.iter().map(|v| v.exp()).sum::<f64>()).collect();
        logits.chunks(3).flat_map(|row| -> Vec<f64> { of(row) }).collect()
    };
    let [one, other] = [0, 1].map(|i| softmax(&made(&networks[i], shape, &images)));
    let wanted: Vec<f64> = one.iter().zip(&other).map(|(a, b)| (a + b) / 2.0).collect();
    let error = distance(softmax(&run(&graph, shape, &images)), &wanted, 0.0);
    assert!(error <= TOLERANCE, "off by {error:e}");
}

#[test]
fn all_but_the_classifier_is_about_a_quarter() {
    let network = Network::new(Config::preset("densenet121").unwrap());
    let arch = &network.architecture;
    let floats = 4 * arch.classifier[0].weight.len();
    let whole = network.decoded(Options::default()).encoded_len() - floats;
    let integers = quantized(network).decoded(Options::default()).encoded_len() - floats;
    assert!(integers * 100 < whole * 29, "{integers} bytes of {whole}");
}

/// Every convolution reads bytes, one scale for all, and weights of bytes with a scale for each output, and makes
/// bytes; every map has a scale and a zero of each channel.
#[test]
fn every_convolution_stands_between_bytes() {
    let presets = ["densenet121", "densenet-40-12", "densenet-bc-100-12", "seed"];
    let presets = presets.map(|name| quantized(Network::new(Config::preset(name).unwrap())));
    for network in presets.into_iter().chain(networks()) {
        let graph = network.graph(Options::default());
        let graph = Graph::new(&graph);
        for conv in network.architecture.convs() {
            graph.check_conv(&conv.name, conv.in_channels, conv.out_channels);
        }
        let maps = network.architecture.blocks.iter().map(|block| 1 + block.layers.len()).sum::<usize>();
        let per_channel = graph.of_type("DequantizeLinear").filter(|node| node.input.len() == 3);
        let channels: usize = per_channel.map(|node| graph.check_map(node)).sum();
        let wanted: usize = network.architecture.blocks.iter().flat_map(|block| block.widths()).sum();
        assert_eq!(channels, wanted, "{:?}", network.card.config);
        assert_eq!(graph.of_type("DequantizeLinear").filter(|node| node.input.len() == 3).count(), maps);
        graph.check_names();
    }
}

/// A graph whose nodes and tensors are found by name.
struct Graph<'a> {
    nodes: BTreeMap<&'a str, &'a NodeProto>,
    tensors: BTreeMap<&'a str, &'a TensorProto>,
    in_order: &'a [NodeProto],
}

impl<'a> Graph<'a> {
    fn new(graph: &'a GraphProto) -> Self {
        let nodes = graph.node.iter().map(|node| (&*node.output[0], node)).collect();
        let tensors = graph.initializer.iter().map(|tensor| (tensor.name.as_deref().unwrap(), tensor)).collect();
        Self { nodes, tensors, in_order: &graph.node }
    }

    fn of_type(&self, op_type: &'a str) -> impl Iterator<Item = &'a NodeProto> {
        self.in_order.iter().filter(move |node| node.op_type.as_deref() == Some(op_type))
    }

    /// The node that makes `name`, which must be of that type.
    fn made_by(&self, name: &str, op_type: &str) -> &'a NodeProto {
        let node = self.nodes[name];
        assert_eq!(node.op_type.as_deref(), Some(op_type), "what makes {name}");
        node
    }

    /// The tensor `name` has so many elements of that type.
    fn check_tensor(&self, name: &str, data_type: i32, len: usize) {
        let tensor = self.tensors[name];
        let bytes = if data_type == FLOAT { 4 * len } else { len };
        let found = (tensor.data_type, tensor.raw_data.as_ref().unwrap().len());
        assert_eq!(found, (Some(data_type), bytes), "{name}");
    }

    /// `node` works along `axis` with so many scales.
    fn check_scales(&self, node: &NodeProto, axis: i64, len: usize) {
        assert_eq!(node.attribute.iter().map(|attribute| attribute.i).collect::<Vec<_>>(), [Some(axis)]);
        self.check_tensor(&node.input[1], FLOAT, len);
        assert!(floats(self.tensors[&*node.input[1]]).iter().all(|&scale| scale > 0.0 && scale.is_finite()));
    }

    fn check_conv(&self, name: &str, inputs: usize, outputs: usize) {
        let conv = self.made_by(name, "Conv");
        let input = self.made_by(&conv.input[0], "DequantizeLinear");
        let bytes = self.made_by(&input.input[0], "QuantizeLinear");
        assert_eq!(floats(self.tensors[&*input.input[1]]), [1.0]);
        // A bottleneck's output is in the units of the next convolution already.
        if bytes.attribute.is_empty() {
            assert_eq!(floats(self.tensors[&*bytes.input[1]]), [1.0]);
        } else {
            self.check_scales(bytes, 1, inputs);
        }
        let weight = self.made_by(&conv.input[1], "DequantizeLinear");
        self.check_scales(weight, 0, outputs);
        let len: i64 = self.tensors[&*weight.input[0]].dims.iter().product();
        self.check_tensor(&weight.input[0], INT8, len as usize);
        self.check_tensor(&conv.input[2], FLOAT, outputs);
        let readers: Vec<_> =
            self.in_order.iter().filter(|node| node.input.iter().any(|input| input == name)).collect();
        assert!(readers.len() == 1 && readers[0].op_type.as_deref() == Some("QuantizeLinear"), "readers of {name}");
        assert_eq!(floats(self.tensors[&*readers[0].input[1]]), [1.0]);
    }

    /// The channels of the map that `node` makes of bytes.
    fn check_map(&self, node: &NodeProto) -> usize {
        self.made_by(&node.input[0], "QuantizeLinear");
        let channels = self.tensors[&*node.input[1]].dims[0] as usize;
        self.check_scales(node, 1, channels);
        self.check_tensor(&node.input[2], UINT8, channels);
        channels
    }

    /// Each value is made before it is read; all tensors are read.
    fn check_names(&self) {
        let mut made = BTreeSet::from(["images"]);
        let mut read = BTreeSet::new();
        for node in self.in_order {
            for input in &node.input {
                assert!(made.contains(&**input) || self.tensors.contains_key(&**input), "{input} of {:?}", node.name);
                read.insert(&**input);
            }
            assert!(made.insert(&node.output[0]), "{} twice", node.output[0]);
        }
        assert!(self.tensors.keys().all(|name| read.contains(name)), "a tensor that is not read");
        assert_eq!(self.nodes.len(), self.in_order.len());
    }
}

fn of_name<'a>(graph: &'a GraphProto, name: &str) -> &'a TensorProto {
    graph.initializer.iter().find(|tensor| tensor.name.as_deref() == Some(name)).unwrap()
}

fn floats(tensor: &TensorProto) -> Vec<f32> {
    assert_eq!(tensor.data_type, Some(FLOAT), "{:?}", tensor.name);
    tensor.raw_data.as_ref().unwrap().chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}
