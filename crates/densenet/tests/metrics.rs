//! Every figure of an evaluation is that of scikit-learn or torchmetrics on the same logits (goldens/metrics.py).

use std::ops::ControlFlow;
use std::path::Path;

use densenet::config::Config;
use densenet::data::{Preprocessing, Split, Targets, Views};
use densenet::evaluation::{Evaluation, Intervals, Predictions, evaluate, predictions};
use densenet::metrics::{likeliest_wrong_labels, most_confident_mistakes, temperature};
use densenet::output::Output;
use densenet::{DenseNet, Ensemble};
use ndarray::{Array2, Axis, concatenate};
use serde_json::Value;

/// What doubles may differ by when they are added in another order.
const TOLERANCE: f64 = 1e-9;

fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/metrics").join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn predictions_of(case: &Value) -> Predictions {
    let rows: Vec<Vec<f64>> = case["logits"].as_array().unwrap().iter().map(floats).collect();
    let logits = rows.concat().into_iter().map(|logit| logit as f32).collect();
    let logits = Array2::from_shape_vec((rows.len(), rows[0].len()), logits).unwrap();
    let truth = case["truth"].as_array().unwrap();
    let (targets, output) = match truth[0].as_array() {
        None => {
            let classes = truth.iter().map(|class| class.as_u64().unwrap() as usize).collect();
            (Targets::Classes(classes), Output::softmax())
        }
        Some(_) => {
            let labels = truth.iter().flat_map(|row| row.as_array().unwrap()).map(Value::as_bool).collect();
            (Targets::Labels(labels), Output::sigmoid())
        }
    };
    let output = output.with_temperature(case["temperature"].as_f64().unwrap());
    Predictions { pictures: (0..rows.len()).collect(), logits, output, targets, unreadable: Vec::new() }
}

/// Checks that `found` has all that is `expected`, numbers within the tolerance.
fn check(found: &Value, expected: &Value, place: &str) {
    match expected {
        Value::Object(fields) => fields.iter().for_each(|(name, e)| check(&found[name], e, &format!("{place}.{name}"))),
        Value::Array(items) => {
            assert_eq!(found.as_array().map(Vec::len), Some(items.len()), "{place}");
            (0..items.len()).for_each(|i| check(&found[i], &items[i], &format!("{place}[{i}]")));
        }
        Value::Number(number) => {
            let difference = found.as_f64().unwrap_or(f64::NAN) - number.as_f64().unwrap();
            assert!(difference.abs() < TOLERANCE, "{place}: {found}, expected {number}");
        }
        other => assert_eq!(found, other, "{place}"),
    }
}

#[test]
fn figures_are_those_of_scikit_learn_and_torchmetrics() {
    for name in ["classes7", "classes3", "classes2", "labels5"] {
        let case = golden(name);
        let predictions = predictions_of(&case);
        let evaluation = Evaluation::new(&predictions);
        let mut found = serde_json::to_value(&evaluation).unwrap();
        let filled = evaluation.calibration.iter().filter(|bin| bin.count > 0);
        found["filled_bins"] = filled.map(|bin| vec![bin.confidence, bin.accuracy]).collect();
        found["best_temperature"] = temperature::fit(predictions.logits.view(), &predictions.targets).into();
        assert!(case["figures"].as_object().unwrap().len() >= 12, "{name}");
        check(&found, &case["figures"], name);
        assert_eq!(evaluation.images as usize, predictions.logits.nrows());
        assert_eq!(evaluation.temperature, case["temperature"].as_f64().unwrap());
    }
}

#[test]
fn intervals_hold_their_figures_and_narrow_with_more_pictures() {
    for name in ["classes7", "labels5"] {
        let mut predictions = predictions_of(&golden(name));
        let (evaluation, few) = (Evaluation::new(&predictions), Intervals::new(&predictions));
        let holds =
            |[low, high]: [f64; 2], figure: f64| assert!(low < figure && figure < high, "{low} {figure} {high}");
        holds(few.loss.unwrap(), evaluation.loss);
        holds(few.auc.unwrap(), evaluation.auc.unwrap());
        assert_eq!(few.top1.is_some(), evaluation.top1.is_some());
        few.top1.into_iter().for_each(|interval| holds(interval, evaluation.top1.unwrap()));
        assert_eq!(few, Intervals::new(&predictions));
        predictions.logits = concatenate(Axis(0), &[predictions.logits.view(); 9]).unwrap();
        predictions.targets = match predictions.targets {
            Targets::Classes(classes) => Targets::Classes(classes.repeat(9)),
            Targets::Labels(labels) => Targets::Labels(labels.repeat(9)),
        };
        let width = |interval: Option<[f64; 2]>| interval.map(|[low, high]| high - low).unwrap();
        let many = Intervals::new(&predictions);
        for (few, many) in [(few.loss, many.loss), (few.auc, many.auc)] {
            assert!((width(few) / width(many) - 3.0).abs() < 0.5, "{few:?}, {many:?}");
        }
    }
}

#[test]
fn a_fitted_temperature_has_the_least_loss() {
    // So often that the prior, which counts for about one picture, moves nothing.
    const TIMES: usize = 100;
    for name in ["classes7", "labels5"] {
        let mut predictions = predictions_of(&golden(name));
        predictions.logits = concatenate(Axis(0), &[predictions.logits.view(); TIMES]).unwrap();
        predictions.targets = match predictions.targets {
            Targets::Classes(classes) => Targets::Classes(classes.repeat(TIMES)),
            Targets::Labels(labels) => Targets::Labels(labels.repeat(TIMES)),
        };
        let best = temperature::fit(predictions.logits.view(), &predictions.targets);
        let mut loss = |temperature| {
            predictions.output = predictions.output.plain().with_temperature(temperature);
            Evaluation::new(&predictions).loss
        };
        let least = loss(best);
        assert!([0.5 * best, 0.99 * best, 1.01 * best, 2.0 * best].iter().all(|&other| loss(other) > least), "{best}");
    }
}

#[test]
fn pictures_to_look_at_are_wrong_ones() {
    let predictions = predictions_of(&golden("classes7"));
    let Targets::Classes(classes) = &predictions.targets else { panic!("classes") };
    let probabilities = predictions.probabilities();
    let mistakes = most_confident_mistakes(probabilities.view(), &predictions.targets, 100);
    assert_eq!(mistakes.len() as u64, 60 - Evaluation::new(&predictions).correct.unwrap());
    assert!(mistakes.is_sorted_by(|a, b| a.probability >= b.probability));
    for found in [mistakes, likeliest_wrong_labels(probabilities.view(), &predictions.targets, 10)] {
        assert!(!found.is_empty());
        for mistake in found {
            assert!(mistake.truth == classes[mistake.picture] && mistake.predicted != mistake.truth);
            assert_eq!(mistake.probability, probabilities[(mistake.picture, mistake.predicted)]);
        }
    }
}

/// A network of one layer for grey pictures of 8x8.
fn tiny(num_classes: usize, seed: u64) -> DenseNet {
    let config = Config { block_config: vec![1], input_size: 8, ..Config::preset("densenet-bc-40-12").unwrap() };
    DenseNet::new(&Config { in_channels: 1, num_classes, ..config }, seed).unwrap()
}

fn noise(pictures: usize) -> Split {
    let pixels = (0..pictures * 100).map(|i| (i * 7919 % 251) as u8).collect();
    let classes = ["a", "b", "c"].map(String::from).to_vec();
    let labels = (0..pictures).map(|picture| picture % 3).collect();
    Split::in_memory(Path::new("noise"), [10, 10, 1], pixels, labels, classes).unwrap()
}

fn ask(ensemble: &Ensemble<'_>, views: Views, batch: usize) -> Predictions {
    let preprocessing = Preprocessing::new(8, [0.5], [0.25]).with_short_side(10);
    predictions(ensemble, &noise(11), &preprocessing, views, batch, |_| ControlFlow::Continue(())).unwrap().unwrap()
}

/// The mean of several networks and views, by hand.
#[test]
fn networks_and_views_are_averaged() {
    let networks = [tiny(3, 1), tiny(3, 2)];
    for output in [Output::softmax().with_temperature(0.5), Output::sigmoid()] {
        let alone =
            |network, views| ask(&Ensemble::new([(network, output.clone())]).unwrap(), views, 4).probabilities();
        let both = Ensemble::new(networks.iter().map(|network| (network, output.clone()))).unwrap();
        let mean = 0.5 * (alone(&networks[0], Views::default()) + alone(&networks[1], Views::default()));
        let found = ask(&both, Views::default(), 3).probabilities();
        assert!((&found - &mean).iter().all(|difference| difference.abs() < 1e-6), "{found} {mean}");
        let views = Views { flip: true, crops: true };
        let mean = 0.5 * (alone(&networks[0], views) + alone(&networks[1], views));
        let (found, few) = (ask(&both, views, 64), ask(&both, views, 3));
        assert!((&found.probabilities() - &mean).iter().all(|difference| difference.abs() < 1e-6));
        assert_eq!((found.pictures, found.output), ((0..11).collect(), output.plain()));
        assert!((&found.logits - &few.logits).iter().all(|difference| difference.abs() < 1e-4));
    }
}

#[test]
fn networks_that_cannot_answer_together_are_refused() {
    let (three, four) = (tiny(3, 1), tiny(4, 1));
    let refused = |members: Vec<(&DenseNet, Output)>| Ensemble::new(members).unwrap_err().to_string();
    assert!(refused(vec![]).contains("at least one"));
    assert!(refused(vec![(&three, Output::softmax()), (&four, Output::softmax())]).contains("equally many classes"));
    assert!(
        refused(vec![(&three, Output::softmax()), (&three, Output::sigmoid())]).contains("all softmax or all sigmoid")
    );
}

#[test]
fn training_asks_one_network_without_intervals() {
    let (network, preprocessing) = (tiny(3, 1), Preprocessing::new(8, [0.5], [0.25]));
    let evaluated = |batch, control| evaluate(&network, &noise(11), &preprocessing, batch, |_| control).unwrap();
    assert_eq!(evaluated(4, ControlFlow::Break(())), None);
    let evaluation = evaluated(4, ControlFlow::Continue(())).unwrap();
    assert_eq!((evaluation.images, evaluation.intervals), (11, None));
    assert_eq!(evaluation.score(), evaluation.correct.unwrap() as f64 / 11.0);
}
