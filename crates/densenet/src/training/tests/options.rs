//! The effect of settings on a run: what is frozen, balanced and kept, and when it ends.

use super::*;
use crate::architecture::Tensor;
use crate::data::{Augmentation, ColorJitter, RandAugment};
use crate::training::find_lr::{STEPS, Tried, find_lr, still_falls, suggested};
use crate::training::fine_tuning::first_of_classifier;
use crate::training::{Balance, Freeze, snapshot};

/// A finished run of `settings` and its folder.
fn finished(train: &Split, settings: Settings) -> (Run, tempfile::TempDir) {
    let (folder, test) = (tempfile::tempdir().unwrap(), pictures(20, 2));
    let mut run = start(folder.path(), train, settings);
    assert_eq!(run.train(train, &test, &mut Stop::default()).unwrap(), Outcome::Finished);
    (run, folder)
}

/// The names of the tensors that a run has changed from their initial values.
fn moved(run: &Run) -> Vec<&Tensor> {
    let (before, after) = (DenseNet::<f32>::new(&config(), 5).unwrap(), run.network.parameters());
    let tensors = run.network.architecture().parameters.iter();
    tensors.filter(|tensor| before.parameters()[tensor.range.clone()] != after[tensor.range.clone()]).collect()
}

#[test]
fn what_is_frozen_stays() {
    let (train, fresh) = (pictures(70, 1), DenseNet::<f32>::new(&config(), 5).unwrap());
    for optimizer in [Kind::Sgd, Kind::AdamW] {
        let all = Settings { optimizer, lr: 0.01, ..settings() };
        let (free, _folder) = finished(&train, all.clone());
        assert_eq!(moved(&free).len(), free.network.architecture().parameters.len());
        let (weights, _folder) = finished(&train, Settings { freeze: Freeze::Weights, ..all.clone() });
        let (body, _folder) = finished(&train, Settings { freeze: Freeze::Body, ..all.clone() });
        for run in [&weights, &body] {
            let names: Vec<&str> = moved(run).iter().map(|tensor| tensor.name.as_str()).collect();
            assert_eq!(names, ["classifier.weight", "classifier.bias"]);
        }
        assert_ne!(weights.network.running(), fresh.running(), "batch-norms follow the pictures");
        assert_eq!(body.network.running(), fresh.running());
        let (gradual, _folder) = finished(&train, Settings { freeze: Freeze::Weights, unfreeze_every: Some(1), ..all });
        let first = &moved(&gradual)[0].name;
        assert_eq!(first, "features.denseblock1.denselayer1.norm1.weight", "the stem has had no epoch of its own");
    }
}

#[test]
fn the_classifier_alone_learns() {
    let train = pictures(200, 1);
    let (run, folder) = finished(&train, Settings { freeze: Freeze::Body, epochs: 6, ..settings() });
    let losses: Vec<f64> = log(folder.path()).iter().filter_map(|line| line.get("train_loss")?.as_f64()).collect();
    assert!(losses[5] < 0.8 * losses[0], "{losses:?}");
    assert!(run.network.parameters()[..first_of_classifier(run.network.architecture())].iter().all(|p| p.is_finite()));
}

#[test]
fn frozen_and_balanced_runs_are_resumed_to_the_same_bits() {
    assert_resumes(Settings { freeze: Freeze::Weights, unfreeze_every: Some(1), body_lr: 0.1, ..settings() });
    assert_resumes(Settings { freeze: Freeze::Body, balance: Balance::Weights, ..settings() });
    assert_resumes(Settings { balance: Balance::Sampling, clip_norm: Some(0.5), ..settings() });
}

#[test]
fn augmented_and_mixed_runs_are_resumed_to_the_same_bits() {
    let color_jitter = ColorJitter { brightness: 0.4, contrast: 0.4, ..ColorJitter::default() };
    let rand_augment = RandAugment { ops: 1, magnitude: 9 };
    let all = Augmentation { color_jitter, rand_augment, random_erasing: 0.25, ..Augment::CropFlip.into() };
    assert_resumes(Settings { augment: Augmentation { mixup: 0.2, cutmix: 1.0, ..all }, accumulate: 2, ..settings() });
}

#[test]
fn mixed_pictures_have_mixed_targets() {
    let train = pictures(70, 1);
    let first = |augment: Augmentation| {
        let (_, folder) = finished(&train, Settings { augment, epochs: 1, ..settings() });
        log(folder.path())[0]["loss"].as_f64().unwrap()
    };
    let plain = first(Augmentation::default());
    // Pictures and targets stay the network's input, but no longer one to one.
    for mixed in [
        Augmentation { mixup: 1.0, ..Augmentation::default() },
        Augmentation { cutmix: 1.0, ..Augmentation::default() },
    ] {
        let loss = first(mixed);
        assert!(loss != plain && (loss - plain).abs() < 0.5, "{loss} of mixed pictures, {plain} of whole ones");
    }
}

#[test]
fn each_cycle_leaves_a_network() {
    let train = pictures(70, 1);
    let snapshots = Settings { epochs: 4, cycles: 2, schedule: Schedule::Snapshot, ..settings() };
    let (_, folder) = finished(&train, snapshots);
    let epoch = |cycle| Reader::open(&folder.path().join(snapshot(cycle))).unwrap().card().unwrap().epoch;
    assert_eq!([1, 2].map(epoch), [2, 4]);
    assert_eq!(bytes(folder.path(), &snapshot(2)), bytes(folder.path(), LAST));
}

/// With a rate so small that no prediction changes, the first epoch stays the best.
#[test]
fn a_run_without_patience_ends() {
    let train = pictures(70, 1);
    let still = Settings { epochs: 9, lr: 1e-12, patience: Some(2), freeze: Freeze::Body, ..settings() };
    let (run, folder) = finished(&train, still);
    assert_eq!((run.progress().epoch, run.progress().best_epoch), (3, 1));
    let mut again = Run::resume(folder.path()).unwrap();
    assert_eq!(again.train(&train, &pictures(20, 2), &mut Stop::default()).unwrap(), Outcome::Finished);
    assert_eq!(again.progress().epoch, 3);
}

#[test]
fn too_many_unreadable_pictures_end_a_run_that_was_saved() {
    let (pictures, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let train = files(pictures.path(), 32, &[9, 30]);
    let card = Card { preprocessing: Some(tiny()), ..card(&train) };
    let settings = Settings { epochs: 2, batch: 4, max_bad: 0.03, ..settings() };
    let mut run = Run::start(folder.path(), card, DenseNet::new(&config(), 5).unwrap(), settings).unwrap();
    let error = run.train(&train, &train, &mut Stop::default()).unwrap_err().to_string();
    assert!(
        error.contains("2 of 32 training pictures cannot be read, more than the 3 % that max_bad allows"),
        "{error}"
    );
    assert_eq!(Run::resume(folder.path()).unwrap().progress().step, run.progress().step);
}

#[cfg(unix)]
#[test]
fn a_full_disk_costs_no_step() {
    #[derive(Default)]
    struct Troubles(usize);
    impl Observer for Troubles {
        fn step(&mut self, _step: &StepReport, _images: usize) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }
        fn evaluated(&mut self, _images: u64) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }
        fn epoch(&mut self, _epoch: &EpochReport) {}
        fn unsaved(&mut self, _error: &Error) {
            self.0 += 1;
        }
    }
    let (train, folder) = (pictures(70, 1), tempfile::tempdir().unwrap());
    let mut run = start(folder.path(), &train, settings());
    // A folder in place of a file, which cannot be replaced: every save of the best weights fails, whoever runs the
    // test.
    fs::create_dir_all(folder.path().join(BEST).join("in the way")).unwrap();
    let mut troubles = Troubles::default();
    assert_eq!(run.train(&train, &pictures(20, 2), &mut troubles).unwrap(), Outcome::Finished);
    assert_eq!((troubles.0, run.progress().epoch, run.progress().best), (3, 3, None));
}

#[test]
fn a_search_raises_the_rate_until_the_loss_rises() {
    let train = pictures(70, 1);
    let settings = Settings { freeze: Freeze::None, batch: 32, ..settings() };
    let mut heard = 0;
    let tried = find_lr(DenseNet::new(&config(), 5).unwrap(), &card(&train), &settings, &train, |_| {
        heard += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(tried.windows(2).all(|pair| pair[1].lr > pair[0].lr) && tried[0].lr == 1e-6);
    assert!(tried.len() > 50 && heard >= tried.len() - 1);
    let suggested = suggested(&tried).unwrap();
    assert!((1e-4..1.0).contains(&suggested), "{suggested}");
}

#[test]
fn a_loss_that_is_lowest_at_the_highest_rate_still_falls() {
    let of = |losses: Vec<f64>| -> Vec<Tried> {
        losses.into_iter().map(|loss| Tried { lr: 0.1, loss, smoothed: loss }).collect()
    };
    let falling: Vec<f64> = (0..STEPS).map(|step| 2.0 - step as f64 / 100.0).collect();
    assert!(still_falls(&of(falling.clone())));
    let rises_at_last = [&falling[..STEPS - 1], &[1.5]].concat();
    // The next step went much too far, and has no loss.
    let diverges = falling[..STEPS - 1].to_vec();
    for found in [rises_at_last, diverges, Vec::new()] {
        assert!(!still_falls(&of(found)));
    }
}
