//! Tensors in, tensors out, whatever protocol they came by.

use std::sync::Arc;
use std::time::{Duration, Instant};

use densenet::data::Picture;
use densenet::output::likeliest_first;
use ndarray::{Array2, Array4, Axis, concatenate};

use super::model::Served;
use super::refusal::Refusal;
use super::server::Server;

/// The name of a network's input.
pub const INPUT: &str = "images";
/// The name of what a network makes of it.
pub const LOGITS: &str = "logits";
/// The name of what its logits mean.
pub const PROBABILITIES: &str = "probabilities";

/// A tensor.
pub struct Tensor {
    /// What it is called.
    pub name: String,
    /// Its extents.
    pub shape: Vec<usize>,
    /// Its elements, row-major.
    pub values: Values,
}

/// Elements of a tensor.
pub enum Values {
    /// FP32.
    Float(Vec<f32>),
    /// UINT8.
    Byte(Vec<u8>),
    /// BYTES: encoded pictures, or texts.
    Bytes(Vec<Vec<u8>>),
}

impl Values {
    /// The protocol's name of the type.
    pub fn datatype(&self) -> &'static str {
        match self {
            Self::Float(_) => "FP32",
            Self::Byte(_) => "UINT8",
            Self::Bytes(_) => "BYTES",
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Byte(values) => values.len(),
            Self::Bytes(values) => values.len(),
        }
    }
}

/// An output that is asked for.
pub struct Wanted {
    /// What it is called.
    pub name: String,
    /// How many of the likeliest classes are named instead of all values.
    pub classes: Option<usize>,
}

/// Answers the `inputs` with the `wanted` outputs, or with the logits where none is named.
///
/// # Errors
/// Tensors that the model does not take or give, and those of [`Served::ask`].
pub async fn infer(
    server: &Server,
    model: &Arc<Served>,
    inputs: Vec<Tensor>,
    wanted: &[Wanted],
    timeout: Option<Duration>,
) -> Result<Vec<Tensor>, Refusal> {
    let timeout = timeout.map_or(server.limits.timeout, |timeout| timeout.min(server.limits.timeout));
    let deadline = Instant::now() + timeout;
    if let Some(unknown) = wanted.iter().find(|wanted| ![LOGITS, PROBABILITIES].contains(&&*wanted.name)) {
        let (name, model) = (&unknown.name, &model.name);
        let reason =
            format!("unexpected inference output '{name}' for model '{model}'; there are logits and probabilities");
        return Err(Refusal::Invalid(reason));
    }
    let images = images(server, model, the_input(model, inputs)?).await?;
    let answer = model.ask(images, false, deadline).await?;
    let usual = [Wanted { name: LOGITS.into(), classes: None }];
    let wanted = if wanted.is_empty() { &usual } else { wanted };
    Ok(wanted.iter().map(|wanted| output(model, &answer.logits, wanted)).collect())
}

/// The only input of a request.
fn the_input(model: &Served, inputs: Vec<Tensor>) -> Result<Tensor, Refusal> {
    let name = &model.name;
    let [input] = <[Tensor; 1]>::try_from(inputs).map_err(|inputs| {
        let count = inputs.len();
        Refusal::Invalid(format!("expected 1 inputs but got {count} inputs for model '{name}'; it takes '{INPUT}'"))
    })?;
    if input.name != INPUT {
        let found = input.name;
        return Err(Refusal::Invalid(format!(
            "unexpected inference input '{found}' for model '{name}'; it takes '{INPUT}'"
        )));
    }
    let elements = input.shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
    if elements != Some(input.values.len()) {
        let (found, shape) = (input.values.len(), &input.shape);
        return Err(Refusal::Invalid(format!(
            "'{INPUT}' has {found} elements, which its shape {shape:?} does not say"
        )));
    }
    Ok(input)
}

/// The networks' input `(N, C, H, W)` of a tensor.
async fn images(
    server: &Server,
    model: &Arc<Served>,
    Tensor { shape, values, .. }: Tensor,
) -> Result<Array4<f32>, Refusal> {
    let (channels, size) = model.input();
    match (values, &*shape) {
        (Values::Float(values), &[n, c, h, w]) => {
            Ok(Array4::from_shape_vec((n, c, h, w), values).expect("counted before"))
        }
        (Values::Byte(values), &[n, h, w, c]) if n > 0 && values.len() == n * h * w * c && !values.is_empty() => {
            let pictures = values.chunks(h * w * c).map(<[u8]>::to_vec).collect();
            prepare(server, pictures, model, move |model, _, pixels| {
                model.prepared(&Picture::new(h, w, c, pixels).map_err(Refusal::from)?)
            })
            .await
        }
        (Values::Bytes(pictures), &[_] | &[_, 1]) => {
            let name = |place| format!("picture {place} of '{INPUT}'");
            prepare(server, pictures, model, move |model, place, bytes| model.decoded(&bytes, &name(place))).await
        }
        (values, _) => {
            let datatype = values.datatype();
            Err(Refusal::Invalid(format!(
                "'{INPUT}' is {datatype} of the shape {shape:?}; it must be FP32 of N,{channels},H,W, normalised already, \
                 as N,{channels},{size},{size}, or UINT8 of N,H,W,3 or N,H,W,1, or BYTES of N encoded pictures"
            )))
        }
    }
}

/// Prepares pictures on the threads that decode, all at the same time.
async fn prepare(
    server: &Server,
    pictures: Vec<Vec<u8>>,
    model: &Arc<Served>,
    prepare: impl Fn(&Served, usize, Vec<u8>) -> Result<Array4<f32>, Refusal> + Clone + Send + 'static,
) -> Result<Array4<f32>, Refusal> {
    let most = server.limits.requests;
    if pictures.is_empty() || pictures.len() > most {
        let count = pictures.len();
        return Err(Refusal::Invalid(format!("{count} pictures in a request; from 1 to {most} are taken")));
    }
    let begin = |(place, picture)| {
        let (model, prepare) = (model.clone(), prepare.clone());
        server.decoders.run(move || prepare(&model, place, picture))
    };
    let begun: Vec<_> = pictures.into_iter().enumerate().map(begin).collect();
    let mut inputs = Vec::with_capacity(begun.len());
    for input in begun {
        inputs.push(input.await?);
    }
    let views: Vec<_> = inputs.iter().map(|input| input.view()).collect();
    Ok(concatenate(Axis(0), &views).expect("inputs of one size"))
}

/// The output that is `wanted` of some logits.
fn output(model: &Served, logits: &Array2<f32>, wanted: &Wanted) -> Tensor {
    let (inputs, classes) = logits.dim();
    let probabilities = |row| model.output.probabilities(row).into_iter().map(|probability| probability as f32);
    let values: Vec<f32> = match &*wanted.name {
        LOGITS => logits.iter().copied().collect(),
        _ => logits.rows().into_iter().flat_map(probabilities).collect(),
    };
    let name = wanted.name.clone();
    let Some(top) = wanted.classes.map(|top| top.min(classes)) else {
        return Tensor { name, shape: vec![inputs, classes], values: Values::Float(values) };
    };
    let named = |(row, values): (_, &[f32])| {
        let order = likeliest_first(&model.output.probabilities(row), row);
        let text = |class: usize| format!("{:.6}:{class}:{}", values[class], model.labels[class]).into_bytes();
        order.into_iter().take(top).map(text).collect::<Vec<_>>()
    };
    let texts = logits.rows().into_iter().zip(values.chunks(classes)).flat_map(named).collect();
    Tensor { name, shape: vec![inputs, top], values: Values::Bytes(texts) }
}
