//! The pieces of an ONNX graph: operations, weights, and the values between them.

use super::proto::{
    AttributeProto, AttributeType, Dimension, Extent, FLOAT, GraphProto, INT8, INT64, NodeProto, TensorProto,
    TensorShapeProto, TensorType, TypeProto, UINT8, ValueInfoProto,
};

/// An element type of weights.
pub(super) trait Element: bytemuck::Pod {
    /// Its number in `TensorProto.DataType`.
    const DATA_TYPE: i32;
}

impl Element for f32 {
    const DATA_TYPE: i32 = FLOAT;
}

impl Element for u8 {
    const DATA_TYPE: i32 = UINT8;
}

impl Element for i8 {
    const DATA_TYPE: i32 = INT8;
}

impl Element for i64 {
    const DATA_TYPE: i32 = INT64;
}

/// Adds a tensor of weights.
pub(super) fn weights<T: Element>(graph: &mut GraphProto, name: &str, shape: &[usize], values: &[T]) {
    graph.initializer.push(TensorProto {
        dims: shape.iter().map(|&extent| extent as i64).collect(),
        data_type: Some(T::DATA_TYPE),
        name: Some(name.into()),
        raw_data: Some(bytemuck::cast_slice(values).to_vec()),
    });
}

/// Adds an operation with one output, which has the operation's name; returns that name.
pub(super) fn node(
    graph: &mut GraphProto,
    name: String,
    op_type: &str,
    input: &[&str],
    attribute: Vec<AttributeProto>,
) -> String {
    graph.node.push(NodeProto {
        input: input.iter().map(|&value| value.into()).collect(),
        output: vec![name.clone()],
        name: Some(name.clone()),
        op_type: Some(op_type.into()),
        attribute,
    });
    name
}

/// An integer attribute.
pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    let kind = Some(AttributeType::Int.into());
    AttributeProto { name: Some(name.into()), i: Some(value), r#type: kind, ..AttributeProto::default() }
}

/// A float attribute.
pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    let kind = Some(AttributeType::Float.into());
    AttributeProto { name: Some(name.into()), f: Some(value), r#type: kind, ..AttributeProto::default() }
}

/// Kernel, stride and padding of a square window.
pub(super) fn window(kernel: usize, stride: usize, padding: usize) -> Vec<AttributeProto> {
    let all = |name: &str, value: usize, count| AttributeProto {
        name: Some(name.into()),
        ints: vec![value as i64; count],
        r#type: Some(AttributeType::Ints.into()),
        ..AttributeProto::default()
    };
    vec![all("kernel_shape", kernel, 2), all("strides", stride, 2), all("pads", padding, 4)]
}

/// A float tensor that is an input or output of the graph.
pub(super) fn value(name: &str, extents: impl IntoIterator<Item = Extent>) -> ValueInfoProto {
    let dim = extents.into_iter().map(|extent| Dimension { value: Some(extent) }).collect();
    let tensor_type = TensorType { elem_type: Some(FLOAT), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: Some(name.into()), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}

/// A fixed extent.
pub(super) fn fixed(extent: usize) -> Extent {
    Extent::DimValue(extent as i64)
}

/// An extent that is only known when the graph runs.
pub(super) fn open(name: &str) -> Extent {
    Extent::DimParam(name.into())
}
