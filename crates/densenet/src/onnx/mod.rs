//! Networks as ONNX files, for ONNX Runtime and other readers.
//!
//! The graph reads `images` `(batch, C, H, W)`, normalised as in training, and outputs `logits` `(batch, classes)`, or
//! `features` `(batch, features)` if the network has no classifier. Values and weights have torchvision's names. The
//! file's `metadata_props` hold the whole [`Card`] as JSON text, `densenet_card`, and the licence again under ONNX's
//! own name for it, `model_license`. An int8 network is a QDQ graph. Equal weights give equal bytes.

mod fold;
mod graph;
mod integer_stem;
mod integers;
mod network;
mod options;
pub mod proto;

use std::io::Write;
use std::path::Path;

use prost::Message;

use crate::checkpoint::{Card, Contents};
use crate::config::HeadPool;
use crate::files::write_whole;
use crate::output::Output;
use crate::{Error, Result};
use network::Walk;
pub use options::Options;
use proto::{GraphProto, IR_VERSION, ModelProto, OPSET, OperatorSetIdProto, StringStringEntryProto};

/// The ONNX model of `contents`.
pub fn model(contents: &Contents<'_>, options: Options) -> ModelProto {
    with_card(Walk::graph(contents, options), contents.card)
}

/// The ONNX model of several networks that predict together: its logits are those of the mean of their probabilities,
/// each according to the meaning of its own logits. `card` is stored in the file; the networks take the same input and
/// have the same classes.
pub fn average(card: &Card, members: &[(Contents<'_>, Output)], options: Options) -> ModelProto {
    with_card(Walk::average(members, options), card)
}

fn with_card(graph: GraphProto, card: &Card) -> ModelProto {
    ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: Some(env!("CARGO_PKG_NAME").into()),
        producer_version: Some(env!("CARGO_PKG_VERSION").into()),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET) }],
        metadata_props: metadata(card),
    }
}

/// Saves the ONNX model of `contents`.
///
/// # Errors
/// An open size for a network that classifies all pixels; a network of 2 GiB or more, which protobuf cannot hold; a
/// file that cannot be written (what was at `path` before is kept).
pub fn save(contents: &Contents<'_>, options: Options, path: &Path) -> Result<()> {
    check_size(contents, options)?;
    write(&model(contents, options), path)
}

/// Saves the ONNX model of several networks that predict together; see [`average`].
///
/// # Errors
/// Those of [`save`].
pub fn save_average(card: &Card, members: &[(Contents<'_>, Output)], options: Options, path: &Path) -> Result<()> {
    members.iter().try_for_each(|(contents, _)| check_size(contents, options))?;
    write(&average(card, members, options), path)
}

fn check_size(contents: &Contents<'_>, options: Options) -> Result<()> {
    let config = &contents.architecture.config;
    if !options.dynamic_size || config.head_pool != HeadPool::None {
        return Ok(());
    }
    let size = config.input_size;
    Err(Error::Config(format!(
        "height and width cannot be left open: the network classifies all pixels of {size}x{size} pictures"
    )))
}

fn write(model: &ModelProto, path: &Path) -> Result<()> {
    let length = model.encoded_len();
    if length > i32::MAX as usize {
        return Err(Error::format(path, format!("{length} bytes; an ONNX file holds less than 2 GiB")));
    }
    write_whole(path, |file| file.write_all(&model.encode_to_vec()))
}

fn metadata(card: &Card) -> Vec<StringStringEntryProto> {
    let licence = card.licence.clone().map(|licence| ("model_license".to_string(), licence));
    let texts = card.metadata().into_iter().chain(licence);
    texts.map(|(key, value)| StringStringEntryProto { key: Some(key), value: Some(value) }).collect()
}
