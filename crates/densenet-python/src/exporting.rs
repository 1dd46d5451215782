//! Weights for other programs.

use std::path::PathBuf;

use densenet::{Card, onnx, timm, torchvision};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::exception;
use crate::network::Network;
use crate::threads;

/// Writes the network to `path` in `format`; returns what the format cannot express.
#[pyfunction]
pub fn export(
    py: Python<'_>,
    network: &Network,
    path: PathBuf,
    format: &str,
    fold: bool,
    dynamic_size: bool,
    licence: Option<String>,
) -> PyResult<Vec<String>> {
    let card = Card { licence: licence.or(network.card.licence.clone()), ..network.card.clone() };
    let contents = network.network.contents(&card);
    if format != "onnx" && (fold || dynamic_size) {
        return Err(PyValueError::new_err("fold and dynamic_size are only for the format onnx"));
    }
    let beyond = if format == "torchvision" { torchvision::beyond(&card.config) } else { Vec::new() };
    let write = || match format {
        "torchvision" => Some(torchvision::save(&contents, &path)),
        "onnx" => Some(onnx::save(&contents, onnx::Options { fold, dynamic_size }, &path)),
        "timm" => Some(timm::save(&contents, &path)),
        "densenet" => Some(contents.save(&path)),
        _ => None,
    };
    match threads::run(py, write)? {
        Some(written) => written.map(|()| beyond).map_err(exception),
        None => {
            let reason = format!("no format is called {format:?}; choose from torchvision, timm, onnx and densenet");
            Err(PyValueError::new_err(reason))
        }
    }
}
