//! How well a network does on labelled pictures.

use std::ops::ControlFlow;

use ndarray::{Array2, Array4, ArrayView1};

use crate::data::{Preprocessing, Split, Targets, Unreadable, Views};
use crate::ensemble::Ensemble;
use crate::network::DenseNet;
use crate::output::{Output, mean_logits};
use crate::prefetch::prefetch;
use crate::{Error, Result};

mod figures;
mod intervals;
mod predictions;
mod scored;

pub use self::figures::{ClassFigures, Evaluation};
pub use self::intervals::Intervals;
pub use self::predictions::Predictions;
pub use crate::output::{log_softmax, ranking};

/// Evaluates `network` on `split`, `batch` pictures at a time, and calls `progress` with the number of pictures
/// processed so far; returns `None` if `progress` breaks. Pictures that cannot be read are left out and reported.
///
/// Classes have a softmax over the logits, labels a sigmoid each; there are no [intervals](Intervals).
///
/// # Errors
/// Those of [`predictions()`].
pub fn evaluate(
    network: &DenseNet,
    split: &Split,
    preprocessing: &Preprocessing,
    batch: usize,
    progress: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<Option<Evaluation>> {
    let output = match split.targets() {
        Targets::Classes(_) => Output::softmax(),
        Targets::Labels(_) => Output::sigmoid(),
    };
    let ensemble = Ensemble::new([(network, output)])?;
    let predictions = predictions(&ensemble, split, preprocessing, Views::default(), batch, progress)?;
    Ok(predictions.map(|predictions| Evaluation::new(&predictions)))
}

/// The predictions of `ensemble` for the pictures of `split`, `batch` inputs at a time, averaged over the `views` of
/// each picture. Calls `progress` with the number of pictures processed so far, and returns `None` if it breaks.
/// Pictures that cannot be read are left out and reported.
///
/// # Errors
/// Classes or labels that the networks do not have, no picture that can be read, a size that the networks cannot take,
/// or [views](Views::validate) that the preprocessing does not provide.
pub fn predictions(
    ensemble: &Ensemble<'_>,
    split: &Split,
    preprocessing: &Preprocessing,
    views: Views,
    batch: usize,
    mut progress: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<Option<Predictions>> {
    check_labels(split, ensemble.num_classes())?;
    views.validate(preprocessing)?;
    let order: Vec<usize> = (0..split.len()).collect();
    let (mut predicted, mut unreadable) = (Vec::new(), Vec::new());
    let stopped = prefetch(
        order.chunks((batch / views.count()).max(1)),
        |indices| Ok::<_, Error>((indices, split.views(indices, preprocessing, views)?)),
        |(indices, (images, outcomes))| {
            let logits = mean_of_views(ensemble, images, views)?;
            for ((&index, outcome), logits) in indices.iter().zip(outcomes).zip(logits) {
                match outcome {
                    Ok(()) => predicted.push((index, logits)),
                    Err(error) => unreadable.push(split.unreadable(index, &error)),
                }
            }
            Ok(progress((predicted.len() + unreadable.len()) as u64))
        },
    )?;
    match stopped {
        Some(()) => Ok(None),
        None => gathered(ensemble, split, views, predicted, unreadable).map(Some),
    }
}

/// The predictions of `ensemble` for `images` `(N * views, C, H, W)`: a row of logits per picture.
fn mean_of_views(ensemble: &Ensemble<'_>, images: Array4<f32>, views: Views) -> Result<Vec<Vec<f32>>> {
    let (logits, output) = (ensemble.logits(images.view())?, ensemble.output());
    let rows: Vec<_> = logits.rows().into_iter().map(|row| (&output, row)).collect();
    let of_picture = |views: &[(&Output, ArrayView1<'_, f32>)]| match views {
        [(_, row)] => row.to_vec(),
        views => mean_logits(views),
    };
    Ok(rows.chunks(views.count()).map(of_picture).collect())
}

/// The predictions for a whole split: pictures and their logits, and those that could not be read.
///
/// # Errors
/// No picture could be read.
fn gathered(
    ensemble: &Ensemble<'_>,
    split: &Split,
    views: Views,
    predicted: Vec<(usize, Vec<f32>)>,
    unreadable: Vec<Unreadable>,
) -> Result<Predictions> {
    if let Some(first) = unreadable.first().filter(|_| predicted.is_empty()) {
        let reason = format!("{}; none of the {} pictures can be read", first.reason, unreadable.len());
        return Err(Error::format(&first.input, reason));
    }
    let (pictures, rows): (Vec<usize>, Vec<Vec<f32>>) = predicted.into_iter().unzip();
    let names = ensemble.num_classes();
    let logits = Array2::from_shape_vec((pictures.len(), names), rows.concat()).expect("a row of logits a picture");
    let output = if views.count() == 1 { ensemble.output() } else { ensemble.output().plain() };
    Ok(Predictions { logits, output, targets: split.targets().select(&pictures, names), pictures, unreadable })
}

/// Rejects classes or labels that a network does not have.
pub(crate) fn check_labels(split: &Split, classes: usize) -> Result<()> {
    let stray = split.labels().iter().enumerate().find(|&(_, &label)| label >= classes);
    match (split.targets(), stray) {
        (_, Some((i, label))) => {
            Err(Error::Config(format!("label {i} is {label}; this network has classes 0 to {}", classes - 1)))
        }
        (Targets::Labels(_), _) if split.classes().len() != classes => {
            let labels = split.classes().len();
            Err(Error::Config(format!("{labels} labels per picture; this network has {classes} outputs, one for each")))
        }
        _ => Ok(()),
    }
}
