//! Temperature scaling, which makes probabilities mean what they say (Guo et al., ICML 2017).
//!
//! Logits divided by one number keep their order, and with it the accuracy, but become more or less confident.

use ndarray::{ArrayView1, ArrayView2};
use rayon::prelude::*;

use crate::data::Targets;
use crate::output::Output;

/// The highest temperature that is fitted, and the inverse of the lowest.
const LIMIT: f64 = 100.0;

/// Number of times that the interval of the temperature's logarithm is halved; 1e-11 of it is left.
const HALVINGS: usize = 40;

/// The temperature, from 0.01 to 100, by which `logits` `(N, C)` must be divided to minimise the negative log
/// likelihood of `targets`: the cross-entropy for classes, the binary cross-entropy for labels that are known; 1 if
/// none is known.
///
/// Logits should come from pictures that the network was not trained on. If there are few and all are correct, or all
/// wrong, the likelihood alone would make every prediction certain, or none. So `b - ln b` is added to the summed loss,
/// where `b` is the inverse of the temperature: a Gamma prior with its mode at 1, which counts about as much as one
/// picture.
///
/// Both are convex in `b`, so the slope changes sign once, which bisection finds.
///
/// # Panics
/// If the numbers of pictures or labels in targets and logits differ.
pub fn fit(logits: ArrayView2<'_, f32>, targets: &Targets) -> f64 {
    match targets {
        Targets::Classes(classes) => assert_eq!(classes.len(), logits.nrows(), "classes of the pictures"),
        Targets::Labels(labels) => assert_eq!(labels.len(), logits.len(), "labels of the pictures"),
    }
    let (mut low, mut high) = (-LIMIT.ln(), LIMIT.ln());
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        let prior = 1.0 - middle.exp();
        let slope = slope(logits, targets, middle.exp()) + prior;
        if slope == 0.0 {
            return middle.exp();
        }
        *if slope > 0.0 { &mut low } else { &mut high } = middle;
    }
    ((low + high) / 2.0).exp()
}

/// The derivative of the summed loss with respect to the inverse temperature; positive if the temperature is too low.
fn slope(logits: ArrayView2<'_, f32>, targets: &Targets, temperature: f64) -> f64 {
    let output = match targets {
        Targets::Classes(_) => Output::softmax(),
        Targets::Labels(_) => Output::sigmoid(),
    };
    let (output, count) = (output.with_temperature(temperature), logits.ncols());
    let of_picture = |picture| match targets {
        Targets::Classes(classes) => of_class(&output, logits.row(picture), classes[picture]),
        Targets::Labels(labels) => of_labels(&output, logits.row(picture), &labels[picture * count..][..count]),
    };
    // Summed in the pictures' order, whatever the threads.
    (0..logits.nrows()).into_par_iter().map(of_picture).collect::<Vec<f64>>().into_iter().sum()
}

/// The mean of a picture's logits, weighted by their probabilities, minus the logit of the correct class.
fn of_class(output: &Output, logits: ArrayView1<'_, f32>, class: usize) -> f64 {
    let excess = |&logit: &f32| f64::from(logit) - f64::from(logits[class]);
    output.probabilities(logits).into_iter().zip(logits.iter().map(excess)).map(|(p, excess)| p * excess).sum()
}

/// The same for the labels that are known.
fn of_labels(output: &Output, logits: ArrayView1<'_, f32>, labels: &[Option<bool>]) -> f64 {
    let pairs = output.probabilities(logits).into_iter().zip(logits).zip(labels);
    let known = pairs.filter_map(|((probability, &logit), label)| Some((probability, f64::from(logit), (*label)?)));
    known.map(|(probability, logit, label)| (probability - f64::from(u8::from(label))) * logit).sum()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    /// One of two classes is correct in 3 of 4 pictures: its probability should be that.
    #[test]
    fn the_temperature_of_shares() {
        let many = 40_000;
        let logits = Array2::from_shape_fn((many, 2), |(_, class)| if class == 0 { 5.0 } else { 0.0 });
        let temperature = fit(logits.view(), &Targets::Classes([0, 0, 1, 0].repeat(many / 4)));
        assert!((temperature - 5.0 / 3f64.ln()).abs() < 0.01, "{temperature}");
        let labels = [true, true, false, true].map(Some).repeat(many / 4);
        let one = Array2::from_elem((many, 1), 5.0);
        assert!((fit(one.view(), &Targets::Labels(labels.clone())) - temperature).abs() < 1e-9);
        let with_unknown = Array2::from_elem((many, 2), 5.0);
        let labels = labels.into_iter().flat_map(|label| [None, label]).collect();
        assert!((fit(with_unknown.view(), &Targets::Labels(labels)) - temperature).abs() < 1e-9);
    }

    #[test]
    fn few_pictures_that_are_all_right_make_nothing_certain() {
        let logits = array![[5.0, 0.0], [0.0, 5.0], [5.0, 0.0], [0.0, 5.0]];
        let right = fit(logits.view(), &Targets::Classes(vec![0, 1, 0, 1]));
        assert!((0.8..1.0).contains(&right), "{right}");
        let wrong = fit(logits.view(), &Targets::Classes(vec![1, 0, 1, 0]));
        assert!((5.0..50.0).contains(&wrong), "{wrong}");
        // The slope of the loss and that of the prior cancel: 20 / (1 + e^(5b)) = 1 - 1/b.
        let b = 1.0 / right;
        assert!((20.0 / (1.0 + (5.0 * b).exp()) - (1.0 - 1.0 / b)).abs() < 1e-6, "{b}");
        assert!((fit(logits.view(), &Targets::Labels(vec![None; 8])) - 1.0).abs() < 1e-9);
        assert!((fit(Array2::zeros((2, 2)).view(), &Targets::Classes(vec![0, 1])) - 1.0).abs() < 1e-9);
    }
}
