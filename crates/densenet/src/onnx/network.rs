//! Traversing a network and writing down its operations.

use densenet_kernels::batch_norm::EPSILON;

use super::fold::folded;
use super::graph::{self, Element, fixed, float, int, open, window};
use super::options::Options;
use super::proto::{AttributeProto, GraphProto};
use crate::architecture::{Block, Conv, DenseLayer, Linear, Norm};
use crate::checkpoint::Contents;
use crate::config::{HeadPool, Joining, PoolKind, StemPool};
use crate::output::Output;

/// Name of the graph's input.
pub(super) const INPUT: &str = "images";

/// Name of the graph's output.
pub(super) const OUTPUT: &str = "logits";

/// Name of the graph's output for a backbone.
const FEATURES: &str = "features";

/// Writes down the operations of a network; each method returns the name of its output value.
pub(super) struct Walk<'a> {
    pub(super) contents: &'a Contents<'a>,
    fold: bool,
    /// The prefix of all names except the input's, so that several networks fit into one graph.
    prefix: String,
    graph: GraphProto,
}

impl<'a> Walk<'a> {
    /// The graph of `contents`.
    pub(super) fn graph(contents: &'a Contents<'a>, options: Options) -> GraphProto {
        let mut walk = Self::new(contents, options, String::new(), GraphProto::default());
        walk.network();
        let architecture = contents.architecture;
        let (output, extent) = match architecture.classifier.last() {
            Some(layer) => (OUTPUT, layer.out_features),
            None => (FEATURES, architecture.num_features),
        };
        framed(walk.graph, contents, options, output, extent)
    }

    /// The graph of several networks whose probabilities are averaged; each comes with the meaning of its logits.
    pub(super) fn average(members: &[(Contents<'_>, Output)], options: Options) -> GraphProto {
        let (mut graph, mut probabilities) = (GraphProto::default(), Vec::new());
        for (number, (contents, output)) in members.iter().enumerate() {
            let mut walk = Walk::new(contents, options, format!("network{number}."), graph);
            let logits = walk.network();
            probabilities.push(walk.probabilities(&logits, output));
            graph = walk.graph;
        }
        let (first, output) = &members[0];
        let inputs: Vec<&str> = probabilities.iter().map(String::as_str).collect();
        let mean = graph::node(&mut graph, "mean".into(), "Mean", &inputs, vec![]);
        logits_of(&mut graph, &mean, output.is_independent());
        framed(graph, first, options, OUTPUT, first.card.config.num_classes)
    }

    fn new(contents: &'a Contents<'a>, options: Options, prefix: String, graph: GraphProto) -> Self {
        Self { contents, fold: options.fold, prefix, graph }
    }

    /// Probabilities of logits with the meaning `output`, without its thresholds.
    fn probabilities(&mut self, logits: &str, output: &Output) -> String {
        let temperature = self.weights("temperature", &[1], &[output.temperature() as f32]);
        let tempered = self.node("tempered".into(), "Div", &[logits, &temperature], vec![]);
        match output.is_independent() {
            true => self.node("probabilities".into(), "Sigmoid", &[&tempered], vec![]),
            false => self.node("probabilities".into(), "Softmax", &[&tempered], vec![int("axis", 1)]),
        }
    }

    /// The name of the logits, or of a backbone's features.
    fn network(&mut self) -> String {
        let architecture = self.contents.architecture;
        let mut x = match self.contents.quantization {
            Some(quantization) => self.integer_body(quantization),
            None => {
                let stem = self.stem();
                architecture.blocks.iter().fold(stem, |x, block| self.block(block, x))
            }
        };
        x = self.norm(&architecture.final_norm, &x);
        if architecture.config.final_relu {
            x = self.relu(&architecture.final_norm, &x);
        }
        x = match architecture.config.head_pool {
            HeadPool::Average => self.node("features.pool5".into(), "GlobalAveragePool", &[&x], vec![]),
            HeadPool::Max => self.node("features.pool5".into(), "GlobalMaxPool", &[&x], vec![]),
            HeadPool::None => x,
        };
        let name = if architecture.classifier.is_empty() { FEATURES } else { "flatten" };
        x = self.node(name.into(), "Flatten", &[&x], vec![]);
        for layer in &architecture.classifier {
            x = self.linear(layer, &x);
        }
        x
    }

    /// A linear layer, with its ReLU if it has one.
    fn linear(&mut self, layer: &Linear, x: &str) -> String {
        let parameters = self.contents.parameters;
        let [weight, bias] = ["weight", "bias"].map(|part| format!("{}.{part}", layer.name));
        let shape = [layer.out_features, layer.in_features];
        let weight = self.weights(&weight, &shape, &parameters[layer.weight.clone()]);
        let bias = self.weights(&bias, &[layer.out_features], &parameters[layer.bias.clone()]);
        let name = if layer.relu { &layer.name } else { OUTPUT };
        let y = self.node(name.into(), "Gemm", &[x, &weight, &bias], vec![int("transB", 1)]);
        if layer.relu { self.node(format!("{}.relu", layer.name), "Relu", &[&y], vec![]) } else { y }
    }

    fn stem(&mut self) -> String {
        let architecture = self.contents.architecture;
        let conv = &architecture.stem_conv;
        let Some(norm) = &architecture.stem_norm else { return self.conv(conv, INPUT) };
        let x = self.conv_norm_relu(conv, norm, INPUT);
        architecture.stem_pool.map_or_else(|| x.clone(), |pool| self.stem_pool(pool, &x))
    }

    /// The pooling of the stem.
    pub(super) fn stem_pool(&mut self, pool: StemPool, x: &str) -> String {
        let StemPool { kind, kernel, stride, padding } = pool;
        let mut attributes = window(kernel, stride, padding);
        let operation = match kind {
            PoolKind::Max => "MaxPool",
            PoolKind::Average => {
                attributes.push(int("count_include_pad", 1));
                "AveragePool"
            }
        };
        self.node("features.pool0".into(), operation, &[x], attributes)
    }

    fn block(&mut self, block: &Block, mut x: String) -> String {
        for layer in &block.layers {
            let h = self.layer(layer, &x);
            x = self.join(layer, x, h);
        }
        let Some(transition) = &block.transition else { return x };
        x = self.norm_relu(&transition.norm, &x);
        x = self.conv(&transition.conv, &x);
        self.node(format!("{}.pool", module(&transition.conv)), "AveragePool", &[&x], window(2, 2, 0))
    }

    /// `H(x)`.
    fn layer(&mut self, layer: &DenseLayer, x: &str) -> String {
        let first = layer.bottleneck.as_ref().unwrap_or(&layer.conv);
        let mut x = self.norm_relu(&first.norm, x);
        if let Some(bottleneck) = &layer.bottleneck {
            x = self.conv_norm_relu(&bottleneck.conv, &layer.conv.norm, &x);
        }
        self.conv(&layer.conv.conv, &x)
    }

    /// A layer's input and output combined.
    pub(super) fn join(&mut self, layer: &DenseLayer, x: String, h: String) -> String {
        let module = module(&layer.conv.conv);
        match self.contents.architecture.config.joining {
            Joining::Dense => self.node(format!("{module}.concat"), "Concat", &[&x, &h], vec![int("axis", 1)]),
            Joining::Residual => self.node(format!("{module}.add"), "Add", &[&x, &h], vec![]),
            Joining::Plain => h,
        }
    }

    /// A convolution whose output only the batch-norm reads, so that the two can be merged.
    fn conv_norm_relu(&mut self, conv: &Conv, norm: &Norm, x: &str) -> String {
        let x = if self.fold {
            let (weight, bias) = folded(self.contents, conv, norm);
            self.conv_of(conv, x, &weight, Some(&bias))
        } else {
            let x = self.conv(conv, x);
            self.norm(norm, &x)
        };
        self.relu(norm, &x)
    }

    fn conv(&mut self, conv: &Conv, x: &str) -> String {
        self.conv_of(conv, x, &self.contents.parameters[conv.weight.clone()], self.bias(conv))
    }

    pub(super) fn bias(&self, conv: &Conv) -> Option<&'a [f32]> {
        conv.bias.clone().map(|bias| &self.contents.parameters[bias])
    }

    /// `conv` with these values for weight and bias.
    fn conv_of(&mut self, conv: &Conv, x: &str, weight: &[f32], bias: Option<&[f32]>) -> String {
        let [weight_name, bias_name] = ["weight", "bias"].map(|part| format!("{}.{part}", conv.name));
        let shape = [conv.out_channels, conv.in_channels, conv.kernel, conv.kernel];
        let weight = self.weights(&weight_name, &shape, weight);
        let bias = bias.map(|bias| self.weights(&bias_name, &[conv.out_channels], bias));
        let inputs: Vec<&str> = [x, &weight].into_iter().chain(bias.as_deref()).collect();
        self.node(conv.name.clone(), "Conv", &inputs, window(conv.kernel, conv.stride, conv.padding))
    }

    pub(super) fn norm_relu(&mut self, norm: &Norm, x: &str) -> String {
        let x = self.norm(norm, x);
        self.relu(norm, &x)
    }

    fn norm(&mut self, norm: &Norm, x: &str) -> String {
        let Contents { parameters, running, .. } = *self.contents;
        let parts = ["weight", "bias", "running_mean", "running_var"].map(|part| format!("{}.{part}", norm.name));
        let values = [
            &parameters[norm.weight.clone()],
            &parameters[norm.bias.clone()],
            &running[norm.mean.clone()],
            &running[norm.variance.clone()],
        ];
        let parts: Vec<String> =
            parts.iter().zip(values).map(|(name, values)| self.weights(name, &[norm.channels], values)).collect();
        let inputs: Vec<&str> = std::iter::once(x).chain(parts.iter().map(String::as_str)).collect();
        self.node(norm.name.clone(), "BatchNormalization", &inputs, vec![float("epsilon", EPSILON as f32)])
    }

    fn relu(&mut self, norm: &Norm, x: &str) -> String {
        self.node(norm.name.replace("norm", "relu"), "Relu", &[x], vec![])
    }

    /// Adds a tensor of weights; returns its name.
    pub(super) fn weights<T: Element>(&mut self, name: &str, shape: &[usize], values: &[T]) -> String {
        let name = self.own(name);
        graph::weights(&mut self.graph, &name, shape, values);
        name
    }

    pub(super) fn node(
        &mut self,
        name: String,
        op_type: &str,
        input: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        let name = self.own(&name);
        graph::node(&mut self.graph, name, op_type, input, attributes)
    }

    /// The name for `name` in a graph of several networks.
    pub(super) fn own(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// The `graph` with its input and output, matching the pictures of `contents`.
fn framed(mut graph: GraphProto, contents: &Contents<'_>, options: Options, output: &str, extent: usize) -> GraphProto {
    let size = contents.card.input_size();
    let [height, width] = match options.dynamic_size {
        true => [open("height"), open("width")],
        false => [fixed(size), fixed(size)],
    };
    let channels = contents.architecture.config.in_channels;
    graph.name = Some("densenet".into());
    graph.input = vec![graph::value(INPUT, [open("batch"), fixed(channels), height, width])];
    graph.output = vec![graph::value(output, [open("batch"), fixed(extent)])];
    graph
}

/// Logits whose probabilities are `mean`: logarithms for a softmax, or log odds if labels are `independent`.
fn logits_of(graph: &mut GraphProto, mean: &str, independent: bool) {
    if !independent {
        graph::node(graph, OUTPUT.into(), "Log", &[mean], vec![]);
        return;
    }
    graph::weights(graph, "one", &[1], &[1.0]);
    let others = graph::node(graph, "others".into(), "Sub", &["one", mean], vec![]);
    let odds = graph::node(graph, "odds".into(), "Div", &[mean, &others], vec![]);
    graph::node(graph, OUTPUT.into(), "Log", &[&odds], vec![]);
}

/// The layer or transition that a convolution belongs to, e.g. `features.denseblock1.denselayer1`.
pub(super) fn module(conv: &Conv) -> &str {
    conv.name.rsplit_once('.').map_or(&conv.name, |(module, _)| module)
}
