//! How well a network does on labelled pictures.

use std::ops::ControlFlow;

use ndarray::{Array2, Array4, ArrayView1};

use crate::data::{Preprocessing, Split, Targets, Unreadable, Views};
use crate::ensemble::Ensemble;
use crate::network::DenseNet;
use crate::output::{Output, mean_logits};
use crate::prefetch::prefetch;
use crate::{Error, Result};

mod answers;
mod figures;
mod scored;

pub use self::answers::Answers;
pub use self::figures::{ClassFigures, Evaluation, Intervals};
pub use crate::output::{log_softmax, ranking};

/// Evaluates `network` on `split`, `batch` pictures at a time, and calls `progress` with the number seen so far; none
/// when that breaks. Pictures that cannot be read are left out and told.
///
/// Classes are the softmax's of the logits, labels the sigmoid's; there are no [intervals](Intervals).
///
/// # Errors
/// Those of [`answers`].
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
    let answers = answers(&ensemble, split, preprocessing, Views::default(), batch, progress)?;
    Ok(answers.map(|answers| Evaluation::new(&answers)))
}

/// What `ensemble` says of the pictures of `split`, `batch` inputs at a time: the mean over the `views` of each. It calls
/// `progress` with the number of pictures seen so far; none when that breaks. Pictures that cannot be read are left out and
/// told.
///
/// # Errors
/// Classes or labels that are none of the networks', no picture that can be read, a size that the networks cannot take, or
/// [views](Views::validate) that the preprocessing has not.
pub fn answers(
    ensemble: &Ensemble<'_>,
    split: &Split,
    preprocessing: &Preprocessing,
    views: Views,
    batch: usize,
    mut progress: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<Option<Answers>> {
    check_labels(split, ensemble.num_classes())?;
    views.validate(preprocessing)?;
    let (output, order) = (ensemble.output(), (0..split.len()).collect::<Vec<usize>>());
    let (mut logits, mut pictures, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
    let stopped = prefetch(
        order.chunks((batch / views.count()).max(1)),
        |indices| Ok::<_, Error>((indices, split.views(indices, preprocessing, views)?)),
        |(indices, (images, outcomes))| {
            let said = mean_of_views(ensemble, images, views)?;
            for ((&index, outcome), said) in indices.iter().zip(outcomes).zip(said) {
                match outcome {
                    Ok(()) => {
                        pictures.push(index);
                        logits.extend(said);
                    }
                    Err(error) => unreadable.push(split.unreadable(index, &error)),
                }
            }
            Ok(progress((pictures.len() + unreadable.len()) as u64))
        },
    )?;
    if stopped.is_some() {
        return Ok(None);
    }
    check_readable(&pictures, &unreadable)?;
    let (names, targets) = (ensemble.num_classes(), split.targets().select(&pictures, ensemble.num_classes()));
    let logits = Array2::from_shape_vec((pictures.len(), names), logits).expect("a row of logits a picture");
    let output = if views.count() == 1 { output } else { output.plain() };
    Ok(Some(Answers { logits, output, targets, pictures, unreadable }))
}

/// What `ensemble` says of each picture of `images` `(N * views, C, H, W)`: a row of logits.
fn mean_of_views(ensemble: &Ensemble<'_>, images: Array4<f32>, views: Views) -> Result<Vec<Vec<f32>>> {
    let (logits, output) = (ensemble.logits(images.view())?, ensemble.output());
    let rows: Vec<_> = logits.rows().into_iter().map(|row| (&output, row)).collect();
    let of_picture = |views: &[(&Output, ArrayView1<'_, f32>)]| match views {
        [(_, row)] => row.to_vec(),
        views => mean_logits(views),
    };
    Ok(rows.chunks(views.count()).map(of_picture).collect())
}

/// Refuses a split of which no picture was read.
fn check_readable(pictures: &[usize], unreadable: &[Unreadable]) -> Result<()> {
    match unreadable.first() {
        Some(first) if pictures.is_empty() => {
            let reason = format!("{}; none of the {} pictures can be read", first.reason, unreadable.len());
            Err(Error::format(&first.input, reason))
        }
        _ => Ok(()),
    }
}

/// Refuses classes or labels that are none of a network's.
pub(crate) fn check_labels(split: &Split, classes: usize) -> Result<()> {
    let stray = split.labels().iter().enumerate().find(|&(_, &label)| label >= classes);
    match (split.targets(), stray) {
        (_, Some((i, label))) => {
            Err(Error::Config(format!("label {i} is {label}; this network has classes 0 to {}", classes - 1)))
        }
        (Targets::Labels(_), _) if split.classes().len() != classes => {
            let labels = split.classes().len();
            Err(Error::Config(format!("{labels} labels a picture; this network has {classes} outputs, one a label")))
        }
        _ => Ok(()),
    }
}
