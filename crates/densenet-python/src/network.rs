//! A network with its weights and its card.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use densenet::checkpoint::Reader;
use densenet::data::{self, Preprocessing};
use densenet::network::MathMode;
use densenet::{Card, Config, DenseNet, Error, models, prefetch};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, ArrayView4, Axis};
use numpy::{IntoPyArray, PyArray2, PyArray3, PyArray4, PyReadonlyArray2, PyReadonlyArray3, PyReadonlyArray4};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde_json::Value;

use crate::errors::exception;
use crate::sources::{Readable, Source};
use crate::threads;

/// A network's output before the classifier.
type Features<'py> = (Bound<'py, PyArray2<f32>>, Vec<Bound<'py, PyArray4<f32>>>);

/// A network with its weights and its card.
#[pyclass(frozen)]
pub struct Network {
    pub network: DenseNet,
    pub card: Card,
}

#[pymethods]
impl Network {
    /// Reads a weight file, a folder from a model hub or a built-in model; the other arguments override its card.
    #[staticmethod]
    #[pyo3(signature = (weights, *, entry=None, preset=None, size=None, labels=None, card=None, precision=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn load(
        py: Python<'_>,
        weights: PathBuf,
        entry: Option<&str>,
        preset: Option<&str>,
        size: Option<usize>,
        labels: Option<Vec<String>>,
        card: Option<&str>,
        precision: Option<&str>,
    ) -> PyResult<Self> {
        let (network, read) = threads::run(py, || read(&weights, entry))?.map_err(exception)?;
        let said = Said { preset, size, labels, card };
        let card = said.over(read).map_err(PyValueError::new_err)?;
        Ok(Self { network: at_precision(network, precision)?, card })
    }

    /// An untrained network, by name.
    #[staticmethod]
    #[pyo3(signature = (name, *, num_classes=None, in_channels=None, drop_rate=None, seed=0, preset=None, size=None, labels=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn create(
        name: &str,
        num_classes: Option<usize>,
        in_channels: Option<usize>,
        drop_rate: Option<f64>,
        seed: u64,
        preset: Option<&str>,
        size: Option<usize>,
        labels: Option<Vec<String>>,
    ) -> PyResult<Self> {
        let config = Config::preset(name).map_err(exception)?;
        let config = Config {
            num_classes: num_classes.or(labels.as_ref().map(Vec::len)).unwrap_or(config.num_classes),
            in_channels: in_channels.unwrap_or(config.in_channels),
            drop_rate: drop_rate.unwrap_or(config.drop_rate),
            ..config
        };
        let network = DenseNet::new(&config, seed).map_err(exception)?;
        let said = Said { preset, size, labels, card: None };
        let card = said.over(Card { seed, ..Card::of(config) }).map_err(PyValueError::new_err)?;
        Ok(Self { network, card })
    }

    /// The network's card, as JSON.
    #[getter]
    fn card(&self) -> PyResult<String> {
        serde_json::to_string(&self.card).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// Names of the classes, or `class N` if they have none.
    #[getter]
    fn labels(&self) -> Vec<String> {
        (0..self.card.config.num_classes).map(|class| self.card.label(class)).collect()
    }

    /// The arithmetic that it predicts with: int8, bf16 or f32.
    #[getter]
    fn precision(&self) -> &'static str {
        match (self.network.quantization(), self.network.math_mode()) {
            (Some(_), _) => "int8",
            (None, MathMode::Bf16) => "bf16",
            (None, MathMode::Strict) => "f32",
        }
    }

    /// Number of learnable values.
    #[getter]
    fn num_parameters(&self) -> usize {
        self.network.architecture().num_parameters()
    }

    /// Number of values per picture that the classifier reads.
    #[getter]
    fn num_features(&self) -> usize {
        self.network.architecture().num_features
    }

    /// Prepares pictures as the network's input, `(N, C, H, W)`.
    fn prepare<'py>(&self, py: Python<'py>, pictures: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray4<f32>>> {
        let sources = Source::list(pictures)?;
        let readable: Vec<_> = sources.iter().map(Source::readable).collect();
        let preprocessing = self.preprocessing()?;
        let images = threads::run(py, || prepared(&readable, preprocessing))?.map_err(exception)?;
        Ok(images.into_pyarray(py))
    }

    /// The picture that corresponds to an input `(C, H, W)`, as pixels `(H, W, C)`.
    fn picture_of<'py>(
        &self,
        py: Python<'py>,
        image: PyReadonlyArray3<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray3<u8>>> {
        let (preprocessing, image) = (self.preprocessing()?, image.as_array());
        if image.dim() != (preprocessing.channels(), preprocessing.size, preprocessing.size) {
            return Err(PyValueError::new_err(format!("an input of {:?} is not the network's size", image.dim())));
        }
        let picture = preprocessing.picture_of(image.as_standard_layout().as_slice().expect("standard layout"));
        let shape = (picture.height(), picture.width(), picture.channels());
        let pixels = Array3::from_shape_vec(shape, picture.pixels().to_vec()).expect("a picture's pixels");
        Ok(pixels.into_pyarray(py))
    }

    /// Logits of pictures, `batch` at a time; the next ones are prepared meanwhile.
    fn logits_of<'py>(
        &self,
        py: Python<'py>,
        pictures: &Bound<'py, PyAny>,
        batch: usize,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        self.rows_of(py, pictures, batch, Rows::Logits)
    }

    /// The classifier's input for pictures, `batch` at a time; the next ones are prepared meanwhile.
    fn pooled_of<'py>(
        &self,
        py: Python<'py>,
        pictures: &Bound<'py, PyAny>,
        batch: usize,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        self.rows_of(py, pictures, batch, Rows::Pooled)
    }

    /// Logits for network inputs, `(N, C, H, W)`, `batch` at a time.
    fn logits<'py>(
        &self,
        py: Python<'py>,
        images: PyReadonlyArray4<'py, f32>,
        batch: usize,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        self.rows(py, images.as_array(), batch, Rows::Logits)
    }

    /// The classifier's input for network inputs, `(N, C, H, W)`, `batch` at a time.
    fn pooled<'py>(
        &self,
        py: Python<'py>,
        images: PyReadonlyArray4<'py, f32>,
        batch: usize,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        self.rows(py, images.as_array(), batch, Rows::Pooled)
    }

    /// The features of network inputs, `(N, C, H, W)`, before the classifier: pooled, and after each block.
    fn features<'py>(&self, py: Python<'py>, images: PyReadonlyArray4<'py, f32>) -> PyResult<Features<'py>> {
        let images = images.as_array();
        check_finite(py, images)?;
        let features = threads::run(py, || self.network.features(images))?.map_err(exception)?;
        let blocks = features.blocks.into_iter().map(|block| block.into_pyarray(py)).collect();
        Ok((features.pooled.into_pyarray(py), blocks))
    }

    /// Probabilities from logits, `(N, classes)`.
    fn probabilities<'py>(
        &self,
        py: Python<'py>,
        logits: PyReadonlyArray2<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let (output, logits) = (self.card.output(), logits.as_array());
        if logits.ncols() != self.card.config.num_classes {
            let (found, wanted) = (logits.ncols(), self.card.config.num_classes);
            return Err(PyValueError::new_err(format!("logits for {found} classes; the network has {wanted}")));
        }
        let values = logits.rows().into_iter().flat_map(|logits| output.probabilities(logits)).collect();
        let probabilities = Array2::from_shape_vec(logits.dim(), values).expect("a probability a logit");
        Ok(probabilities.into_pyarray(py))
    }
}

/// A network output with one row per picture.
#[derive(Clone, Copy)]
enum Rows {
    Logits,
    Pooled,
}

impl Network {
    /// How pictures are prepared for the network.
    pub fn preprocessing(&self) -> PyResult<&Preprocessing> {
        self.card.preprocessing.as_ref().ok_or_else(|| {
            let names = data::PREPROCESSINGS.join(", ");
            PyValueError::new_err(format!(
                "the weights do not say how pictures are prepared for them; load them with preset= (one of {names}) or with a \
                 card= that has a preprocessing"
            ))
        })
    }

    fn width(&self, rows: Rows) -> PyResult<usize> {
        let architecture = self.network.architecture();
        match rows {
            Rows::Pooled => Ok(architecture.num_features),
            Rows::Logits => {
                architecture.check_classifier().map_err(exception)?;
                Ok(architecture.config.num_classes)
            }
        }
    }

    fn compute(&self, images: ArrayView4<'_, f32>, rows: Rows) -> densenet::Result<Array2<f32>> {
        match rows {
            Rows::Logits => self.network.logits(images),
            Rows::Pooled => self.network.pooled(images),
        }
    }

    fn rows<'py>(
        &self,
        py: Python<'py>,
        images: ArrayView4<'_, f32>,
        batch: usize,
        rows: Rows,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        check_finite(py, images)?;
        let mut found = Found::new(self.width(rows)?);
        for images in images.axis_chunks_iter(Axis(0), batch.max(1)) {
            found.add(threads::run(py, || self.compute(images, rows))?.map_err(exception)?.view());
            py.check_signals()?;
        }
        Ok(found.into_array().into_pyarray(py))
    }

    fn rows_of<'py>(
        &self,
        py: Python<'py>,
        pictures: &Bound<'py, PyAny>,
        batch: usize,
        rows: Rows,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let sources = Source::list(pictures)?;
        let readable: Vec<_> = sources.iter().map(Source::readable).collect();
        let (preprocessing, pool) = (self.preprocessing()?, threads::threads()?);
        let mut found = Found::new(self.width(rows)?);
        let prepare = |some: &[Readable<'_>]| pool.install(|| prepared(some, preprocessing)).map_err(exception);
        let work = |images: ndarray::Array4<f32>| {
            let some = pool.install(|| self.compute(images.view(), rows)).map_err(exception)?;
            found.add(some.view());
            Python::attach(|py| py.check_signals())?;
            Ok(ControlFlow::<()>::Continue(()))
        };
        py.detach(|| prefetch(readable.chunks(batch.max(1)), prepare, work))?;
        Ok(found.into_array().into_pyarray(py))
    }
}

/// Rejects inputs `(N, C, H, W)` with values that are not finite: int8 would turn them into finite logits.
pub fn check_finite(py: Python<'_>, images: ArrayView4<'_, f32>) -> PyResult<()> {
    match threads::run(py, || images.outer_iter().position(|image| !is_finite(image)))? {
        None => Ok(()),
        Some(place) => Err(PyValueError::new_err(format!(
            "picture {place} contains values that are not finite (NaN or infinity); inputs must be finite"
        ))),
    }
}

/// Whether all values are finite. It checks every value, which is faster than stopping at the first that is not.
fn is_finite(image: ArrayView3<'_, f32>) -> bool {
    image.fold(true, |finite, value| finite & value.is_finite())
}

/// Rows collected batch by batch.
struct Found {
    width: usize,
    values: Vec<f32>,
}

impl Found {
    fn new(width: usize) -> Self {
        Self { width, values: Vec::new() }
    }

    fn add(&mut self, rows: ArrayView2<'_, f32>) {
        self.values.extend(rows);
    }

    fn into_array(self) -> Array2<f32> {
        let count = self.values.len() / self.width;
        Array2::from_shape_vec((count, self.width), self.values).expect("whole rows")
    }
}

fn prepared(pictures: &[Readable<'_>], preprocessing: &Preprocessing) -> densenet::Result<ndarray::Array4<f32>> {
    preprocessing.batch_of(pictures, |picture, out| preprocessing.apply(&picture.open()?, out))
}

/// The network of `weights`, and its card or what can be inferred.
fn read(weights: &Path, entry: Option<&str>) -> densenet::Result<(DenseNet, Card)> {
    let mut file = match entry {
        None => models::open(weights)?,
        Some(_) => Reader::open_entry(weights, entry)?,
    };
    DenseNet::read(&mut file)
}

/// The network at a precision; `None` for that of its file.
fn at_precision(network: DenseNet, precision: Option<&str>) -> PyResult<DenseNet> {
    let floats = |network: DenseNet| if network.quantization().is_some() { network.dequantized() } else { network };
    match precision {
        None => Ok(network),
        Some("f32") => Ok(floats(network).with_math_mode(MathMode::Strict)),
        Some("bf16") => Ok(floats(network).with_math_mode(MathMode::Bf16)),
        Some("int8") if network.quantization().is_some() => Ok(network),
        Some("int8") => Err(PyValueError::new_err("the file holds no integers; use densenet quantize to make one")),
        Some(other) => Err(PyValueError::new_err(format!("precision {other:?}; choose from int8, bf16 and f32"))),
    }
}

/// What a caller says about a network, which overrides its card.
struct Said<'a> {
    preset: Option<&'a str>,
    size: Option<usize>,
    labels: Option<Vec<String>>,
    /// Some of a card's fields, as JSON.
    card: Option<&'a str>,
}

impl Said<'_> {
    /// The `card` with these overrides.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    fn over(self, card: Card) -> Result<Card, String> {
        let mut card = match self.card {
            None => card,
            Some(text) => merged(&card, text)?,
        };
        if let Some(preset) = self.preset {
            let named = Preprocessing::named(preset).map_err(|error| error.to_string())?;
            card.preprocessing = Some(named.with_channels(card.config.in_channels));
            let classes = data::classes(preset).filter(|classes| classes.len() == card.config.num_classes);
            card.labels = if card.labels.is_empty() { classes.unwrap_or_default() } else { card.labels };
        }
        if let (Some(size), Some(preprocessing)) = (self.size, &card.preprocessing) {
            card.preprocessing = Some(preprocessing.with_size(size));
        }
        card.labels = self.labels.unwrap_or(card.labels);
        card.validate().map_err(|error: Error| error.to_string())?;
        Ok(card)
    }
}

/// The `card` with the fields of a JSON object; its configuration, if given, must be that of the network.
fn merged(card: &Card, text: &str) -> Result<Card, String> {
    let given: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if given.get("config").is_some_and(|config| !is_config(config, &card.config)) {
        return Err("card: a network's configuration comes from its file, so config must be left out".into());
    }
    card.with_fields(&given)
}

/// Whether a JSON value represents `config`.
fn is_config(value: &Value, config: &Config) -> bool {
    serde_json::from_value::<Config>(value.clone()).is_ok_and(|other| other == *config)
}
