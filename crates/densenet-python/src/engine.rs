//! Forward and backward passes for a framework that holds the weights and computes the loss itself.

use std::sync::{Mutex, MutexGuard, PoisonError};

use densenet::architecture::Tensor;
use densenet::network::{Backprop, Memory, StepOptions};
use densenet::{Architecture, Config, DenseNet};
use ndarray::{Array1, Array2, ArrayView4};
use numpy::{Element, IntoPyArray, PyArray1, PyReadonlyArray2, PyReadonlyArray4, PyReadonlyArrayDyn};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use rayon::prelude::*;

use crate::errors::exception;
use crate::threads;

/// The name and shape of each tensor.
type Layout = Vec<(String, Vec<usize>)>;

/// The number types that an engine can compute with.
pub trait Real: densenet_kernels::Real + Element {}

impl Real for f32 {}
impl Real for f64 {}

/// A network without classifier whose weights come from outside, and the memory of its passes.
#[pyclass(frozen)]
pub struct Engine {
    passes: Mutex<Precision>,
}

/// Passes in single or double precision.
enum Precision {
    Single(Passes<f32>),
    Double(Passes<f64>),
}

struct Passes<T: Real> {
    network: DenseNet<T>,
    backprop: Backprop<T>,
    memory: Memory,
}

/// The layout of the network of `config`, a JSON text: its parameters and running statistics in order, and its number
/// of features.
#[pyfunction]
pub fn layout(config: &str) -> PyResult<(Layout, Layout, usize)> {
    let architecture = Architecture::new(&parsed(config)?).map_err(exception)?;
    let named = |tensors: &[Tensor]| tensors.iter().map(|t| (t.name.clone(), t.shape.clone())).collect();
    Ok((named(&architecture.parameters), named(&architecture.running), architecture.num_features))
}

#[pymethods]
impl Engine {
    #[new]
    fn new(config: &str, double: bool, low_memory: bool) -> PyResult<Self> {
        let (config, memory) = (parsed(config)?, if low_memory { Memory::Low } else { Memory::Normal });
        let passes = match double {
            false => Precision::Single(Passes::new(&config, memory)?),
            true => Precision::Double(Passes::new(&config, memory)?),
        };
        Ok(Self { passes: Mutex::new(passes) })
    }

    /// The features of `images` in inference.
    fn infer<'py>(
        &self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
        parameters: &Bound<'py, PyAny>,
        running: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match &mut *self.lock(py) {
            Precision::Single(passes) => passes.infer(py, images, parameters, running),
            Precision::Double(passes) => passes.infer(py, images, parameters, running),
        }
    }

    /// The features of `images` in training, and the updated running statistics.
    fn forward<'py>(
        &self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
        parameters: &Bound<'py, PyAny>,
        running: &Bound<'py, PyAny>,
        seed: u64,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        match &mut *self.lock(py) {
            Precision::Single(passes) => passes.forward(py, images, parameters, running, seed),
            Precision::Double(passes) => passes.forward(py, images, parameters, running, seed),
        }
    }

    /// The gradients of all parameters, after the forward pass on `images` with this `seed`.
    fn backward<'py>(
        &self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
        dfeatures: &Bound<'py, PyAny>,
        seed: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        match &mut *self.lock(py) {
            Precision::Single(passes) => passes.backward(py, images, dfeatures, seed),
            Precision::Double(passes) => passes.backward(py, images, dfeatures, seed),
        }
    }
}

impl Engine {
    /// Waits for another thread's pass without holding Python's lock, which that thread needs to finish it.
    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, Precision> {
        self.passes.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Real> Passes<T> {
    fn new(config: &Config, memory: Memory) -> PyResult<Self> {
        let architecture = Architecture::new(config).map_err(exception)?;
        let values = |count| vec![T::zero(); count];
        let arenas = (values(architecture.num_parameters()), values(architecture.num_running()));
        let network = DenseNet::from_arenas(config, arenas.0, arenas.1).map_err(exception)?;
        Ok(Self { backprop: Backprop::new(&network), network, memory })
    }

    fn infer<'py>(
        &mut self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
        parameters: &Bound<'py, PyAny>,
        running: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let images = pictures::<T>(images)?;
        self.take(py, parameters, running)?;
        let images = images.as_array();
        let features = threads::run(py, || self.network.pooled(images))?.map_err(exception)?;
        Ok(features.into_pyarray(py).into_any())
    }

    fn forward<'py>(
        &mut self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
        parameters: &Bound<'py, PyAny>,
        running: &Bound<'py, PyAny>,
        seed: u64,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let images = pictures::<T>(images)?;
        self.take(py, parameters, running)?;
        let images = images.as_array();
        let features = threads::run(py, || self.run_forward(images, seed))?.map_err(exception)?;
        let running = Array1::from(self.network.running().to_vec());
        Ok((features.into_pyarray(py).into_any(), running.into_pyarray(py).into_any()))
    }

    fn run_forward(&mut self, images: ArrayView4<'_, T>, seed: u64) -> densenet::Result<Array2<T>> {
        let options = self.options(seed);
        self.backprop.run_forward(&mut self.network, images, &options)
    }

    fn backward<'py>(
        &mut self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
        dfeatures: &Bound<'py, PyAny>,
        seed: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let images = pictures::<T>(images)?;
        let dfeatures: PyReadonlyArray2<'py, T> = dfeatures.extract()?;
        let (images, dfeatures, options) = (images.as_array(), dfeatures.as_array(), self.options(seed));
        let work = || self.backprop.run_backward(&self.network, images, dfeatures, &options);
        threads::run(py, work)?.map_err(exception)?;
        Ok(PyArray1::from_slice(py, self.backprop.gradients()).into_any())
    }

    fn options(&self, seed: u64) -> StepOptions<'static> {
        StepOptions { dropout_seed: seed, memory: self.memory, ..StepOptions::default() }
    }

    /// Copies the values of all parameters and running statistics. Unchanged values leave the weights packed for
    /// inference: comparing is faster than packing.
    fn take(&mut self, py: Python<'_>, parameters: &Bound<'_, PyAny>, running: &Bound<'_, PyAny>) -> PyResult<()> {
        let architecture = self.network.architecture();
        let parameters = Values::<T>::of(parameters, &architecture.parameters)?;
        let running = Values::<T>::of(running, &architecture.running)?;
        let (parameters, running) = (parameters.slices()?, running.slices()?);
        threads::run(py, || {
            let same = unchanged(&parameters, self.network.parameters()) && unchanged(&running, self.network.running());
            if !same {
                fill(self.network.parameters_mut(), &parameters);
                fill(self.network.running_mut(), &running);
            }
        })
    }
}

/// Arrays that Python holds, one for each tensor of an arena.
struct Values<'py, T: Real> {
    arrays: Vec<PyReadonlyArrayDyn<'py, T>>,
}

impl<'py, T: Real> Values<'py, T> {
    fn of(arrays: &Bound<'py, PyAny>, tensors: &[Tensor]) -> PyResult<Self> {
        let take = |array: PyResult<Bound<'py, PyAny>>| array?.extract().map_err(|_| wrong_type());
        let arrays: Vec<PyReadonlyArrayDyn<'py, T>> = arrays.try_iter()?.map(take).collect::<PyResult<_>>()?;
        if arrays.len() != tensors.len() {
            return Err(PyValueError::new_err(format!("{} tensors; {} are needed", arrays.len(), tensors.len())));
        }
        for (array, tensor) in arrays.iter().zip(tensors) {
            if array.as_array().shape() != tensor.shape {
                let (found, Tensor { name, shape, .. }) = (array.as_array().shape().to_vec(), tensor);
                return Err(PyValueError::new_err(format!("{name} has shape {found:?}; {shape:?} is needed")));
            }
        }
        Ok(Self { arrays })
    }

    fn slices(&self) -> PyResult<Vec<&[T]>> {
        self.arrays.iter().map(|array| array.as_slice().map_err(PyErr::from)).collect()
    }
}

/// Sets the values of an arena to those of `slices`, one after the other.
fn fill<T: Real>(mut arena: &mut [T], slices: &[&[T]]) {
    for slice in slices {
        let (part, rest) = arena.split_at_mut(slice.len());
        part.copy_from_slice(slice);
        arena = rest;
    }
}

/// Whether the values of an arena equal those of `slices`, one after the other.
fn unchanged<T: Real>(slices: &[&[T]], arena: &[T]) -> bool {
    let mut rest = arena;
    let mut parts = Vec::with_capacity(slices.len());
    for slice in slices {
        let (part, after) = rest.split_at(slice.len());
        parts.push((*slice, part));
        rest = after;
    }
    parts.par_iter().all(|(slice, part)| slice == part)
}

fn pictures<'py, T: Real>(images: &Bound<'py, PyAny>) -> PyResult<PyReadonlyArray4<'py, T>> {
    images.extract().map_err(|_| wrong_type())
}

fn wrong_type() -> PyErr {
    PyTypeError::new_err("arrays of another type than the engine's")
}

fn parsed(config: &str) -> PyResult<Config> {
    serde_json::from_str(config).map_err(|error| PyValueError::new_err(error.to_string()))
}
