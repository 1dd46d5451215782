//! Processing a request, from its input to its outputs.

use std::sync::Arc;
use std::time::Instant;

use densenet::data::Picture;
use densenet::output::likeliest_first;
use ndarray::Axis;
use ndarray::{Array2, Array4, ArrayView1, concatenate};

use super::error::Refusal;
use super::served::{Prepared, Served};
use super::server::Server;
use super::tensors::{Input, OutputName, OutputTensor, Request, Values, Wanted};

/// Serves `request` with `model`.
///
/// # Errors
/// An input that the model does not accept, a full queue, a timeout that has passed, or a network that fails.
pub async fn infer(server: &Arc<Server>, model: &Arc<Served>, request: Request) -> Result<Vec<OutputTensor>, Refusal> {
    let begun = Instant::now();
    let Request { input, outputs, timeout } = request;
    let served = async {
        let prepared = prepare(server, model, input).await?;
        let took = begun.elapsed();
        let (done, _) = model.predict(prepared, timeout.map(|timeout| begun + timeout)).await?;
        model.metrics.served(begun.elapsed(), took, &done);
        Ok(outputs.into_iter().map(|wanted| output(model, &done.logits, wanted)).collect())
    };
    served.await.inspect_err(|refusal: &Refusal| model.metrics.failed(refusal))
}

/// Announces `input` to the queue, and converts it into the network's input: pictures are decoded while the network
/// runs, on as many threads as there are cores.
///
/// # Errors
/// An input that the model does not accept, or a full queue.
pub async fn prepare(server: &Arc<Server>, model: &Arc<Served>, input: Input) -> Result<Prepared, Refusal> {
    check(server, model, &input)?;
    let expected = model.expect(input.count())?;
    let (server, model) = (server.clone(), model.clone());
    let permit = server.decoders.clone().acquire_owned().await.expect("it is never closed");
    let inputs = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        of(&server, &model, input)
    });
    let inputs = inputs.await.map_err(|_| Refusal::failed("a picture could not be prepared"))??;
    Ok(Prepared { inputs, expected })
}

fn of(server: &Server, model: &Served, input: Input) -> Result<Array4<f32>, Refusal> {
    match input {
        Input::Normalised { shape, values } => {
            Ok(Array4::from_shape_vec(shape, values).expect("as many as the shape says"))
        }
        Input::Pixels { shape: [_, height, width, channels], values } => {
            let pictures = values.chunks_exact(height * width * channels);
            let pictures: Result<Vec<_>, _> =
                pictures.map(|pixels| Picture::new(height, width, channels, pixels)).collect();
            model.prepare_pixels(&pictures.map_err(|error| Refusal::bad(error.to_string()))?)
        }
        Input::Encoded(files) => {
            let one = |(i, file): (usize, &Vec<u8>)| {
                let of_several = |refusal: Refusal| match files.len() {
                    1 => refusal,
                    _ => Refusal { reason: format!("picture {i}: {}", refusal.reason), ..refusal },
                };
                model.prepare(file, server.limits.max_pixels).map_err(of_several)
            };
            let inputs = files.iter().enumerate().map(one).collect::<Result<Vec<_>, _>>()?;
            let views: Vec<_> = inputs.iter().map(|input| input.view()).collect();
            Ok(concatenate(Axis(0), &views).expect("inputs of one shape"))
        }
    }
}

/// Rejects what the model does not accept, before any work is done.
fn check(server: &Server, model: &Served, input: &Input) -> Result<(), Refusal> {
    let (own, name) = (model.input(), &model.name);
    let (count, most) = (input.count(), server.most_inputs(model));
    if count > most {
        return Err(Refusal::bad(format!("{count} inputs; a request to {name} can have at most {most} (--max-body)")));
    }
    match input {
        Input::Normalised { shape: [_, shape @ ..], .. } if *shape != own => {
            let [channels, height, width] = own;
            Err(Refusal::bad(format!("{name} takes [N, {channels}, {height}, {width}]; inputs have shape {shape:?}")))
        }
        Input::Normalised { values, .. } if !values.iter().all(|value| value.is_finite()) => {
            Err(Refusal::bad("the inputs contain values that are not finite"))
        }
        Input::Pixels { shape: [.., channels], .. } if ![1, 2, 3, 4].contains(channels) => {
            Err(Refusal::bad(format!("pictures have {channels} channels; they need 1 (grey), 3 (RGB) or 4 (RGBA)")))
        }
        _ => Ok(()),
    }
}

/// The output for `logits` `(N, classes)`.
fn output(model: &Served, logits: &Array2<f32>, wanted: Wanted) -> OutputTensor {
    let rows = || logits.rows().into_iter();
    let values = |row: ArrayView1<'_, f32>| -> Vec<f32> {
        match wanted.name {
            OutputName::Logits => row.to_vec(),
            OutputName::Probabilities => model.output().probabilities(row).into_iter().map(|p| p as f32).collect(),
        }
    };
    let (count, classes) = logits.dim();
    match wanted.classification {
        None => {
            let values = Values::Numbers(rows().flat_map(values).collect());
            OutputTensor { wanted, shape: [count, classes], values }
        }
        Some(top) => {
            let top = top.min(classes);
            let texts = rows().flat_map(|row| {
                let order = likeliest_first(&model.output().probabilities(row), row);
                let values = values(row);
                let text = |class: usize| format!("{:.6}:{class}:{}", values[class], model.labels()[class]);
                order.into_iter().take(top).map(text).collect::<Vec<_>>()
            });
            let values = Values::Texts(texts.collect());
            OutputTensor { wanted, shape: [count, top], values }
        }
    }
}
