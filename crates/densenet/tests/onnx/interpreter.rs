//! Runs a graph with the plain operations of `densenet_kernels::reference`, one node after the other.

use std::collections::HashMap;

use densenet::onnx::proto::{FLOAT, GraphProto, INT8, INT64, NodeProto, TensorProto, UINT8};
use densenet_kernels::reference::batch_norm::{self, Statistics};
use densenet_kernels::reference::pool::Pool;
use densenet_kernels::reference::{Shape4, conv, linear, pool, relu};

/// Feature maps, row-major.
#[derive(Clone)]
struct Map {
    shape: Shape4,
    values: Vec<f64>,
}

/// What the graph makes of `images` `(N, C, H, W)`.
pub fn run(graph: &GraphProto, shape: Shape4, images: &[f64]) -> Vec<f64> {
    let mut weights: HashMap<&str, Vec<f64>> =
        graph.initializer.iter().map(|tensor| (tensor.name.as_deref().unwrap(), numbers(tensor))).collect();
    let images = Map { shape, values: images.to_vec() };
    let mut maps = HashMap::from([(graph.input[0].name.as_deref().unwrap(), images)]);
    for node in &graph.node {
        if let Some(numbers) = dequantized(node, &weights) {
            weights.insert(&node.output[0], numbers);
            continue;
        }
        let inputs: Vec<&Map> = node.input.iter().filter_map(|name| maps.get(&**name)).collect();
        let weights: Vec<&[f64]> = node.input.iter().filter_map(|name| weights.get(&**name)).map(|w| &**w).collect();
        let output = operate(node, &inputs, &weights);
        maps.insert(&node.output[0], output);
    }
    maps.remove(graph.output[0].name.as_deref().unwrap()).unwrap().values
}

/// The elements of a tensor.
fn numbers(tensor: &TensorProto) -> Vec<f64> {
    let bytes = tensor.raw_data.as_ref().unwrap();
    match tensor.data_type.unwrap() {
        FLOAT => bytes.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()).into()).collect(),
        INT8 => bytes.iter().map(|&byte| f64::from(byte as i8)).collect(),
        INT64 => bytes.chunks(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()) as f64).collect(),
        UINT8 => bytes.iter().map(|&byte| byte.into()).collect(),
        other => panic!("data type {other}"),
    }
}

/// The weights that `node` makes of integers; none where it does something else.
fn dequantized(node: &NodeProto, weights: &HashMap<&str, Vec<f64>>) -> Option<Vec<f64>> {
    let integers = weights.get(&*node.input[0]).filter(|_| node.op_type.as_deref() == Some("DequantizeLinear"))?;
    let scale = &weights[&*node.input[1]];
    assert_eq!((node.attribute[0].i, node.input.len()), (Some(0), 2), "a scale an output, and no zero");
    let outputs = integers.chunks(integers.len() / scale.len()).zip(scale);
    Some(outputs.flat_map(|(output, scale)| output.iter().map(move |integer| integer * scale)).collect())
}

fn operate(node: &NodeProto, inputs: &[&Map], weights: &[&[f64]]) -> Map {
    let Map { shape, values } = inputs[0];
    let shape = *shape;
    let ints = |name: &str| {
        let found = node.attribute.iter().find(|attribute| attribute.name.as_deref() == Some(name)).unwrap();
        found.ints[0] as usize
    };
    match (node.op_type.as_deref().unwrap(), weights) {
        ("Conv", [weight, bias @ ..]) => {
            let (kernel, stride, padding) = (ints("kernel_shape"), ints("strides"), ints("pads"));
            let out_channels = weight.len() / (shape.c * kernel * kernel);
            let conv = conv::Conv { out_channels, kernel, stride, padding };
            Map { shape: conv.output(shape), values: conv.forward(shape, values, weight, bias.first().copied()) }
        }
        ("BatchNormalization", [gamma, beta, mean, variance]) => {
            let statistics = Statistics { mean: mean.to_vec(), variance: variance.to_vec() };
            Map { shape, values: batch_norm::forward(shape, values, &statistics, gamma, beta) }
        }
        (operation @ ("QuantizeLinear" | "DequantizeLinear"), [scale, zero @ ..]) => {
            let axis = node.attribute.first().map(|attribute| attribute.i);
            assert!(axis == Some(Some(1)) && scale.len() == shape.c || axis.is_none() && scale.len() == 1);
            let channel = |place: usize| if scale.len() == 1 { 0 } else { place / shape.plane() % shape.c };
            let of = |(place, &value): (usize, &f64)| {
                let c = channel(place);
                let (scale, zero) = (scale[c], zero.first().map_or(0.0, |zero| zero[c]));
                match operation {
                    "QuantizeLinear" => ((value / scale).round_ties_even() + zero).clamp(0.0, 255.0),
                    _ => (value - zero) * scale,
                }
            };
            Map { shape, values: values.iter().enumerate().map(of).collect() }
        }
        ("Relu", []) => Map { shape, values: relu::forward(values) },
        (operation @ ("MaxPool" | "AveragePool"), []) => {
            let pool = Pool { kernel: ints("kernel_shape"), stride: ints("strides"), padding: ints("pads") };
            let padding_counts = node
                .attribute
                .iter()
                .any(|attribute| attribute.name.as_deref() == Some("count_include_pad") && attribute.i == Some(1));
            let values = match operation {
                "MaxPool" => pool.max(shape, values).0,
                _ => pool.average(shape, values),
            };
            assert!(operation == "MaxPool" || pool.padding == 0 || padding_counts, "padding that does not count");
            Map { shape: pool.output(shape), values }
        }
        ("GlobalMaxPool", []) => {
            Map { shape: Shape4 { h: 1, w: 1, ..shape }, values: pool::global_max(shape, values).0 }
        }
        ("GlobalAveragePool", []) => {
            Map { shape: Shape4 { h: 1, w: 1, ..shape }, values: pool::global_average(shape, values) }
        }
        ("Flatten", []) => {
            Map { shape: Shape4 { c: shape.c * shape.plane(), h: 1, w: 1, ..shape }, values: values.clone() }
        }
        ("Concat", []) => concat(inputs[0], inputs[1]),
        ("Pad", [pads]) => padded(inputs[0], pads),
        // The weight is one of each channel.
        ("Add", [added]) => {
            assert_eq!(added.len(), shape.c);
            let value = |(place, value): (usize, &f64)| value + added[place / shape.plane() % shape.c];
            Map { shape, values: values.iter().enumerate().map(value).collect() }
        }
        ("Add", []) => Map { shape, values: values.iter().zip(&inputs[1].values).map(|(a, b)| a + b).collect() },
        ("Gemm", [weight, bias]) => {
            Map { shape: Shape4 { c: bias.len(), ..shape }, values: linear::forward(values, weight, bias) }
        }
        ("Div", [divisor]) => Map { shape, values: values.iter().map(|value| value / divisor[0]).collect() },
        ("Div", []) => Map { shape, values: values.iter().zip(&inputs[1].values).map(|(a, b)| a / b).collect() },
        // The weight is the first of the two inputs.
        ("Sub", [one]) => Map { shape, values: values.iter().map(|value| one[0] - value).collect() },
        ("Log", []) => Map { shape, values: values.iter().map(|value| value.ln()).collect() },
        ("Sigmoid", []) => Map { shape, values: values.iter().map(|value| 1.0 / (1.0 + (-value).exp())).collect() },
        ("Softmax", []) => {
            let row = |row: &[f64]| row.iter().map(|v| v.exp() / row.iter().map(|v| v.exp()).sum::<f64>()).collect();
            Map { shape, values: values.chunks(shape.c).flat_map(|values| -> Vec<f64> { row(values) }).collect() }
        }
        ("Mean", []) => {
            let sum = |i: usize| inputs.iter().map(|map| map.values[i]).sum::<f64>();
            Map { shape, values: (0..values.len()).map(|i| sum(i) / inputs.len() as f64).collect() }
        }
        (operator, weights) => panic!("{operator} with {} weights", weights.len()),
    }
}

/// `map` with zeros around it: so many before and after each axis.
fn padded(map: &Map, pads: &[f64]) -> Map {
    let border = pads[2] as usize;
    assert_eq!(pads, [0, 0, border, border, 0, 0, border, border].map(|pad| pad as f64));
    let shape = Shape4 { h: map.shape.h + 2 * border, w: map.shape.w + 2 * border, ..map.shape };
    let mut values = vec![0.0; shape.len()];
    for (place, &value) in map.values.iter().enumerate() {
        let (row, x) = (place / map.shape.w, place % map.shape.w);
        let (plane, y) = (row / map.shape.h, row % map.shape.h);
        values[(plane * shape.h + y + border) * shape.w + x + border] = value;
    }
    Map { shape, values }
}

fn concat(a: &Map, b: &Map) -> Map {
    let picture = |map: &Map| map.shape.c * map.shape.plane();
    let pictures = a.values.chunks(picture(a)).zip(b.values.chunks(picture(b)));
    let shape = Shape4 { c: a.shape.c + b.shape.c, ..a.shape };
    Map { shape, values: pictures.flat_map(|(a, b)| [a, b].concat()).collect() }
}
