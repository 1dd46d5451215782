//! Safetensors files with any names in any order, as no program would write them.

use std::path::Path;

use densenet::{Architecture, Config, init};
use densenet_kernels::random::Stream;
use serde_json::{Map, Value, json};

/// A tensor to write.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// Writes `tensors` in their order.
pub fn write(path: &Path, tensors: &[Tensor]) {
    let (mut header, mut offset) = (Map::new(), 0);
    for tensor in tensors {
        let end = offset + 4 * tensor.values.len();
        let entry = json!({ "dtype": "F32", "shape": tensor.shape, "data_offsets": [offset, end] });
        assert!(header.insert(tensor.name.clone(), entry).is_none(), "{} twice", tensor.name);
        offset = end;
    }
    let header = Value::Object(header).to_string();
    let values = tensors.iter().flat_map(|tensor| &tensor.values).flat_map(|value| value.to_le_bytes());
    let bytes = (header.len() as u64).to_le_bytes().into_iter().chain(header.bytes()).chain(values);
    std::fs::write(path, bytes.collect::<Vec<u8>>()).unwrap();
}

/// The tensors of a network of `config` under their usual names, in PyTorch's order, with values all different.
pub fn tensors(config: &Config) -> Vec<Tensor> {
    let architecture = Architecture::new(config).unwrap();
    let (mut parameters, mut running) = init::initial::<f32>(&architecture, 5);
    for (stream, arena) in [(1, &mut parameters), (2, &mut running)] {
        let noise = Stream::new(9, stream);
        (0..).zip(arena.iter_mut()).for_each(|(i, value)| *value += 0.1 * noise.uniform(i) as f32);
    }
    let arenas = [(&architecture.parameters, &parameters), (&architecture.running, &running)];
    let all = arenas.into_iter().flat_map(|(tensors, values)| {
        tensors.iter().map(|tensor| Tensor {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            values: values[tensor.range.clone()].to_vec(),
        })
    });
    let mut tensors: Vec<Tensor> = all.collect();
    // A batch-norm's running statistics stand after its gamma and beta.
    let module = |name: &str| name.rsplit_once('.').unwrap().0.to_string();
    let order: Vec<String> = tensors.iter().map(|tensor| module(&tensor.name)).collect();
    tensors.sort_by_key(|tensor| order.iter().position(|name| *name == module(&tensor.name)));
    tensors
}
