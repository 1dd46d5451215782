//! Maps of what in a picture supports a class.

use densenet::explain::{ActivationMaps, IntegratedGradients, Noise, Target, grad_cam, occlusion, smooth_grad};
use ndarray::{Array2, ArrayView3, Axis};
use numpy::{IntoPyArray, PyArray2, PyReadonlyArray3};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::exception;
use crate::network::{Network, check_finite};
use crate::threads;

/// Settings of the methods.
#[derive(FromPyObject)]
pub struct Settings {
    /// For Grad-CAM: the block, counted from 1; `None` for the last.
    #[pyo3(item)]
    block: Option<usize>,
    /// For integrated gradients: the number of steps.
    #[pyo3(item)]
    steps: usize,
    /// For SmoothGrad: the number of noisy copies.
    #[pyo3(item)]
    samples: usize,
    /// For SmoothGrad: the noise's standard deviation as a share of the picture's range.
    #[pyo3(item)]
    noise: f64,
    /// For occlusion: the square's side in pixels.
    #[pyo3(item)]
    square: usize,
}

/// The map, by `method`, of what in a network's input `(C, H, W)` supports `class`, alone or against another class.
#[pyfunction]
pub fn explain<'py>(
    py: Python<'py>,
    network: &Network,
    image: PyReadonlyArray3<'py, f32>,
    class: usize,
    against: Option<usize>,
    method: &str,
    settings: Settings,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let (image, target) = (image.as_array(), Target { class, against });
    check_finite(py, image.insert_axis(Axis(0)))?;
    let blocks = network.network.architecture().blocks.len();
    if let Some(block) = settings.block.filter(|block| !(1..=blocks).contains(block)) {
        return Err(PyValueError::new_err(format!("block {block}; blocks are counted from 1 to {blocks}")));
    }
    let work = || map(network, image, target, method, &settings);
    match threads::run(py, work)? {
        Some(map) => Ok(map.map_err(exception)?.into_pyarray(py)),
        None => {
            let known = "cam, grad-cam, integrated-gradients, smooth-grad and occlusion";
            Err(PyValueError::new_err(format!("no method is called {method:?}; choose from {known}")))
        }
    }
}

/// The map, or `None` if there is no such method.
fn map(
    Network { network, card }: &Network,
    image: ArrayView3<'_, f32>,
    target: Target,
    method: &str,
    settings: &Settings,
) -> Option<densenet::Result<Array2<f32>>> {
    let &Settings { block, steps, samples, noise, square } = settings;
    let blocks = network.architecture().blocks.len();
    let exact = || ActivationMaps::new(network, image.insert_axis(Axis(0)))?.map(0, target);
    Some(match method {
        "cam" => exact(),
        "grad-cam" => grad_cam(network, image, block.unwrap_or(blocks) - 1, target),
        "integrated-gradients" => IntegratedGradients::new(network, image, steps, target).map(|found| found.map),
        "smooth-grad" => smooth_grad(network, image, Noise { samples, level: noise, seed: 0 }, target),
        "occlusion" => occlusion(network, &card.output(), image, square, target),
        _ => return None,
    })
}
