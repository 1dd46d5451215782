mod options;

use std::collections::HashMap;

use densenet_kernels::random::Stream;
use serde_json::Value;

use super::*;
use crate::Config;
use crate::checkpoint::{AVERAGE, MOMENTUM};
use crate::data::{Augment, Preprocessing};
use crate::network::Memory;
use crate::optimiser::Kind;
use crate::schedule::Schedule;

/// Noisy pictures of 8x8 in four classes of brightness.
fn pictures(count: usize, seed: u64) -> Split {
    let random = Stream::new(seed, 0);
    let labels: Vec<usize> = (0..count).map(|i| i % 4).collect();
    let pixels = (0..64 * count).map(|i| (random.bits(i as u64) % 100) as u8 + 50 * labels[i / 64] as u8).collect();
    let classes = ["night", "dusk", "day", "noon"].map(String::from).to_vec();
    Split::in_memory(Path::new("made-up"), [8, 8, 1], pixels, labels.clone(), classes).unwrap()
}

fn config() -> Config {
    let small = Config {
        block_config: vec![1, 1],
        growth_rate: 4,
        num_init_features: 4,
        drop_rate: 0.2,
        ..Config::preset("densenet-40-12").unwrap()
    };
    Config { in_channels: 1, num_classes: 4, input_size: 8, ..small }
}

fn card(classes: &Split) -> Card {
    Card {
        preprocessing: Some(Preprocessing::new(8, [0.3], [0.2])),
        labels: classes.classes().to_vec(),
        dataset: "made-up".into(),
        seed: 5,
        ..Card::of(config())
    }
}

fn settings() -> Settings {
    Settings { epochs: 3, batch: 16, augment: Augment::Flip.into(), schedule: Schedule::Cosine, ..Settings::default() }
}

fn start(folder: &Path, train: &Split, settings: Settings) -> Run {
    Run::start(folder, card(train), DenseNet::new(&config(), 5).unwrap(), settings).unwrap()
}

/// Ends the run at one step or in one evaluation.
#[derive(Default)]
struct Stop {
    step: Option<u64>,
    evaluating: bool,
}

impl Observer for Stop {
    fn step(&mut self, step: &StepReport, images: usize) -> ControlFlow<()> {
        assert!((1..=17).contains(&images));
        if self.step == Some(step.step) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
    fn evaluated(&mut self, _images: u64) -> ControlFlow<()> {
        if self.evaluating { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
    fn epoch(&mut self, _epoch: &EpochReport) {}
}

/// The log's lines without the times.
fn log(folder: &Path) -> Vec<HashMap<String, Value>> {
    let text = fs::read_to_string(folder.join(LOG)).unwrap();
    let mut lines: Vec<HashMap<String, Value>> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.iter_mut().for_each(|line| line.retain(|name, _| !["seconds", "images_per_s"].contains(&name.as_str())));
    lines
}

fn bytes(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).unwrap()
}

#[test]
fn learns_logs_and_saves() {
    let (train, test) = (pictures(200, 1), pictures(40, 2));
    let folder = tempfile::tempdir().unwrap();
    let mut run = start(folder.path(), &train, Settings { epochs: 6, ..settings() });
    assert_eq!(run.train(&train, &test, &mut Stop::default()).unwrap(), Outcome::Finished);
    let log = log(folder.path());
    assert_eq!(log.len(), 6 * 13 + 6);
    assert_eq!(log[0]["step"], 1);
    assert_eq!(log[12]["epoch"], 1);
    let epoch = &log[13];
    for name in ["epoch", "train_loss", "train_top1", "test_loss", "test_top1"] {
        assert!(epoch[name].is_number(), "{name}");
    }
    let steps = log[..13].iter().map(|line| line["loss"].as_f64().unwrap());
    let mean = steps.enumerate().map(|(i, loss)| loss * if i == 12 { 8.0 } else { 16.0 }).sum::<f64>() / 200.0;
    assert!((epoch["train_loss"].as_f64().unwrap() - mean).abs() < 1e-12);
    let last = log.last().unwrap()["test_top1"].as_f64().unwrap();
    assert!(last >= 0.9, "{last}");
    let mut best = Reader::open(&folder.path().join(BEST)).unwrap();
    let epochs = log.iter().filter(|line| line.contains_key("test_top1"));
    // Among those with the highest accuracy, the one with the lowest loss, which is not the first here.
    let rank = |line: &HashMap<String, Value>| ["test_top1", "test_loss"].map(|name| line[name].as_f64().unwrap());
    let (mut expected, mut highest, mut ties) = (0, [-1.0, 0.0], 0);
    for line in epochs {
        let [top1, loss] = rank(line);
        ties += usize::from(top1 == highest[0]);
        if top1 > highest[0] || top1 == highest[0] && loss < highest[1] {
            (expected, highest) = (line["epoch"].as_u64().unwrap(), [top1, loss]);
        }
    }
    assert_eq!((best.card().unwrap().epoch as u64, ties > 0), (expected, true));
    assert!(best.weights(run.network.architecture()).unwrap().non_finite(run.network.architecture()).is_empty());
}

#[test]
fn a_resumed_run_makes_the_same_bits() {
    assert_resumes(settings());
}

#[test]
fn a_run_with_all_that_can_be_carried_on_is_resumed_too() {
    let ema = Some(0.9);
    let adamw = Settings { optimizer: Kind::AdamW, lr: 0.01, ema, clip_norm: Some(0.5), accumulate: 3, ..settings() };
    assert_resumes(adamw.clone());
    assert_resumes(Settings { optimizer: Kind::Sgd, lr: 0.1, ..adamw });
}

fn assert_resumes(settings: Settings) {
    let (train, test) = (pictures(70, 1), pictures(20, 2));
    let whole = tempfile::tempdir().unwrap();
    start(whole.path(), &train, settings.clone()).train(&train, &test, &mut Stop::default()).unwrap();
    let stops = [1, 4, 5, 6, 14].map(|step| Stop { step: Some(step), evaluating: false });
    for mut stop in stops.into_iter().chain([Stop { step: None, evaluating: true }]) {
        let folder = tempfile::tempdir().unwrap();
        let mut run = start(folder.path(), &train, settings.clone());
        assert_eq!(run.train(&train, &test, &mut stop).unwrap(), Outcome::Interrupted);
        // What a kill after a save leaves behind: lines of steps that the state does not include.
        run.log.write(&StepReport { step: 99, epoch: 9, loss: 0.0, lr: 0.0 }).unwrap();
        drop(run);
        let mut run = Run::resume(folder.path()).unwrap();
        assert_eq!(run.train(&train, &test, &mut Stop::default()).unwrap(), Outcome::Finished);
        assert_eq!(bytes(folder.path(), LAST), bytes(whole.path(), LAST), "stopped at {:?}", stop.step);
        assert_eq!(bytes(folder.path(), BEST), bytes(whole.path(), BEST));
        assert_eq!(log(folder.path()), log(whole.path()));
    }
}

/// With an average, weight files hold it; the state to resume from holds both.
#[test]
fn the_average_is_what_is_evaluated_and_saved() {
    let (train, test) = (pictures(70, 1), pictures(20, 2));
    let folder = tempfile::tempdir().unwrap();
    let mut run = start(folder.path(), &train, Settings { ema: Some(0.9), ..settings() });
    run.train(&train, &test, &mut Stop::default()).unwrap();
    let read = |name| Reader::open(&folder.path().join(name)).unwrap();
    let architecture = run.network.architecture();
    let last = read(LAST).weights(architecture).unwrap();
    let raw = read(RESUME).weights(architecture).unwrap();
    assert_eq!(raw.parameters, run.network.parameters());
    let places = [(AVERAGE, &*architecture.parameters), (AVERAGE, &*architecture.running)];
    let optimiser = (MOMENTUM, &*architecture.parameters);
    let carried = read(RESUME).carried(architecture, &[&[optimiser], &places[..]].concat()).unwrap();
    assert_eq!(carried[1..], [last.parameters.clone(), last.running.clone()]);
    assert_ne!(raw, last);
    let average = DenseNet::from_arenas(&config(), last.parameters, last.running).unwrap();
    let preprocessing = run.card.preprocessing().unwrap();
    let evaluation = evaluate(&average, &test, preprocessing, 16, |_| ControlFlow::Continue(())).unwrap().unwrap();
    assert_eq!(log(folder.path()).last().unwrap()["test_loss"], evaluation.loss);
}

#[test]
fn either_memory_level_makes_the_same_files() {
    let (train, test) = (pictures(70, 1), pictures(20, 2));
    let folders = [Memory::Normal, Memory::Low].map(|memory| {
        let folder = tempfile::tempdir().unwrap();
        start(folder.path(), &train, Settings { memory, ..settings() })
            .train(&train, &test, &mut Stop::default())
            .unwrap();
        folder
    });
    let [normal, low] = folders.each_ref().map(|folder| bytes(folder.path(), LAST));
    assert_eq!(normal, low);
}

#[test]
fn a_limit_on_the_steps_can_be_raised() {
    let (train, test) = (pictures(70, 1), pictures(20, 2));
    let limited = |max_steps| Settings { max_steps: Some(max_steps), ..settings() };
    let whole = tempfile::tempdir().unwrap();
    start(whole.path(), &train, limited(8)).train(&train, &test, &mut Stop::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut run = start(folder.path(), &train, limited(3));
    assert_eq!(run.train(&train, &test, &mut Stop::default()).unwrap(), Outcome::Finished);
    assert_eq!((run.progress().step, run.progress().epoch), (3, 0));
    let mut run = Run::resume(folder.path()).unwrap();
    run.settings.max_steps = Some(8);
    run.train(&train, &test, &mut Stop::default()).unwrap();
    assert_eq!(bytes(folder.path(), LAST), bytes(whole.path(), LAST));
    assert_eq!(log(folder.path()), log(whole.path()));
}

#[test]
fn a_loss_that_is_not_finite_stops_and_leaves_the_last_good_weights() {
    let (train, test) = (pictures(70, 1), pictures(20, 2));
    let folder = tempfile::tempdir().unwrap();
    let wild = Settings { lr: 1e30, schedule: Schedule::Constant, ..settings() };
    let mut run = start(folder.path(), &train, wild);
    let before = bytes(folder.path(), LAST);
    let error = run.train(&train, &test, &mut Stop::default()).unwrap_err();
    assert!(matches!(error, Error::Diverged { step: 2..=5, lr: 1e30, .. }), "{error}");
    assert_eq!(bytes(folder.path(), LAST), before);
    assert_eq!(Run::resume(folder.path()).unwrap().progress().step, 0);
}

#[test]
fn the_order_is_a_permutation_of_its_own_for_each_epoch() {
    let train = pictures(70, 1);
    let [first, second] = [1, 2].map(|seed| settings().order(&train, seed));
    assert_ne!(first, second);
    for mut order in [first, second] {
        order.sort();
        assert_eq!(order, (0..70).collect::<Vec<_>>());
    }
    let unshuffled = Settings { shuffle: false, ..settings() };
    assert_eq!(unshuffled.order(&pictures(3, 1), 1), [0, 1, 2]);
}

#[test]
fn a_folder_with_a_run_is_not_overwritten() {
    let (train, folder) = (pictures(8, 1), tempfile::tempdir().unwrap());
    start(folder.path(), &train, settings());
    let again = Run::start(folder.path(), card(&train), DenseNet::new(&config(), 5).unwrap(), settings());
    assert!(again.err().unwrap().to_string().contains("holds a training run already"));
}

#[test]
fn pictures_of_a_class_that_the_network_has_not_are_refused() {
    let network = DenseNet::new(&Config { num_classes: 3, ..config() }, 5).unwrap();
    let preprocessing = card(&pictures(4, 1)).preprocessing.unwrap();
    let error = evaluate(&network, &pictures(8, 1), &preprocessing, 4, |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("label 3 is 3; this network has classes 0 to 2"), "{error}");
}

/// Of 321 pictures in batches of 64, one is left over, for which batch-norm has no variance.
#[test]
fn a_last_batch_too_small_joins_the_one_before_it() {
    let batches = |settings: &Settings, pictures| -> Vec<usize> {
        (0..settings.steps(pictures)).map(|step| settings.pictures_of(step, pictures).len()).collect()
    };
    let of_64 = Settings { batch: 64, ..settings() };
    assert_eq!(batches(&of_64, 321), [64, 64, 64, 64, 65]);
    assert_eq!(batches(&of_64, 322), [64, 64, 64, 64, 64, 2]);
    assert_eq!(batches(&of_64, 320), [64; 5]);
    assert_eq!((batches(&of_64, 1), batches(&of_64, 65)), (vec![1], vec![65]));
    let in_parts = Settings { accumulate: 4, ..of_64 };
    assert_eq!((batches(&in_parts, 71), batches(&in_parts, 72)), (vec![71], vec![64, 8]));
    assert_eq!(batches(&Settings { batch: 1, ..settings() }, 3), [1, 1, 1]);
    assert_eq!([65, 72, 3].map(|pictures| in_parts.smallest(pictures)), [16, 2, 1]);

    // The last block of this network has one value per channel and picture for 2x2 pictures.
    let (train, folder) = (pictures(17, 1), tempfile::tempdir().unwrap());
    let card = Card { preprocessing: Some(tiny()), ..card(&train) };
    let new = |folder: &Path, settings| {
        Run::start(folder, card.clone(), DenseNet::new(&config(), 5).unwrap(), settings).unwrap()
    };
    let mut run = new(folder.path(), Settings { epochs: 1, ..settings() });
    assert_eq!(run.train(&train, &train, &mut Stop::default()).unwrap(), Outcome::Finished);
    assert_eq!(run.progress().step, 1);
    for (batch, accumulate) in [(1, 1), (5, 5)] {
        let folder = tempfile::tempdir().unwrap();
        let mut run = new(folder.path(), Settings { batch, accumulate, ..settings() });
        let error = run.train(&train, &train, &mut Stop::default()).unwrap_err().to_string();
        assert!(error.contains("one of these has only one picture, and 2x2 leaves it a single value"), "{error}");
        assert_eq!(fs::read_to_string(folder.path().join(LOG)).unwrap(), "", "no step was taken");
    }
}

/// 2x2 pictures.
fn tiny() -> Preprocessing {
    Preprocessing { size: 2, ..card(&pictures(1, 1)).preprocessing.unwrap() }
}

/// Pictures of 2x2 in files of four classes, where those in `broken` are empty.
fn files(folder: &Path, count: usize, broken: &[usize]) -> Split {
    let file = |i: usize| {
        let path = folder.join(format!("{i}.png"));
        image::GrayImage::from_pixel(2, 2, image::Luma([60 * (i % 4) as u8 + i as u8])).save(&path).unwrap();
        if broken.contains(&i) {
            fs::write(&path, b"").unwrap();
        }
        path
    };
    let classes = ["night", "dusk", "day", "noon"].map(String::from).to_vec();
    Split::of_files(folder, (0..count).map(file).collect(), (0..count).map(|i| i % 4).collect(), classes).unwrap()
}

/// Records the reports about unreadable pictures.
#[derive(Default)]
struct Listener(Vec<String>);

impl Observer for Listener {
    fn step(&mut self, _step: &StepReport, images: usize) -> ControlFlow<()> {
        assert_eq!(images, 4);
        ControlFlow::Continue(())
    }
    fn evaluated(&mut self, _images: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    fn epoch(&mut self, _epoch: &EpochReport) {}
    fn unreadable(&mut self, picture: &Unreadable) {
        self.0.push(picture.to_string());
    }
}

#[test]
fn an_unreadable_picture_costs_none_of_the_others() {
    let (train, test) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (training, testing) = (files(train.path(), 16, &[2, 3]), files(test.path(), 5, &[4]).as_part(Part::Validation));
    let folder = tempfile::tempdir().unwrap();
    let card = Card { preprocessing: Some(tiny()), ..card(&training) };
    let settings = Settings { epochs: 2, batch: 4, max_bad: 0.2, ..settings() };
    let begin =
        |folder: &Path| Run::start(folder, card.clone(), DenseNet::new(&config(), 5).unwrap(), settings.clone());
    let mut heard = Listener::default();
    begin(folder.path()).unwrap().train(&training, &testing, &mut heard).unwrap();
    let mut expected: Vec<String> = [train.path().join("2.png"), train.path().join("3.png"), test.path().join("4.png")]
        .iter()
        .map(|path| format!("{}: an empty file, not a picture", path.display()))
        .collect();
    expected = [expected.clone(), expected].concat();
    expected.sort();
    heard.0.sort();
    assert_eq!(heard.0, expected, "each in each epoch");
    let epochs: Vec<_> = log(folder.path()).into_iter().filter(|line| line.contains_key("val_top1")).collect();
    assert!(epochs.len() == 2 && epochs[1]["val_loss"].is_number(), "{epochs:?}");
    assert_eq!(epochs[1]["unreadable"], 2, "of the training pictures");

    let hopeless = files(train.path(), 16, &(0..16).collect::<Vec<_>>());
    let folder = tempfile::tempdir().unwrap();
    let error = begin(folder.path()).unwrap().train(&hopeless, &testing, &mut Stop::default()).unwrap_err().to_string();
    assert!(error.contains(".png: an empty file, not a picture; none of the 4 pictures of a batch"), "{error}");
    let preprocessing = card.preprocessing().unwrap();
    let network = DenseNet::new(&config(), 5).unwrap();
    let error = evaluate(&network, &hopeless, preprocessing, 4, |_| ControlFlow::Continue(())).unwrap_err().to_string();
    assert!(error.contains("0.png: an empty file, not a picture; none of the 16 pictures can be read"), "{error}");
    let seen = evaluate(&network, &testing, preprocessing, 2, |_| ControlFlow::Continue(())).unwrap().unwrap();
    assert_eq!((seen.images, seen.unreadable.len()), (4, 1));
    assert_eq!(seen.unreadable[0].reason, "an empty file, not a picture");
}

#[test]
fn settings_that_no_run_can_have_are_refused() {
    let wrong = [
        (Settings { epochs: 0, ..settings() }, "epochs is 0; it must be at least 1"),
        (Settings { batch: 0, ..settings() }, "batch is 0; it must be from 1 to 65536"),
        (Settings { lr: f64::NAN, ..settings() }, "lr is NaN; it must be above 0"),
        (Settings { momentum: 1.0, ..settings() }, "momentum is 1; it must be from 0 up to, not including, 1"),
        (Settings { weight_decay: -1.0, ..settings() }, "weight_decay is -1; it must be 0 or above"),
        (Settings { clip_norm: Some(0.0), ..settings() }, "clip_norm is 0; it must be above 0"),
        (Settings { ema: Some(1.0), ..settings() }, "ema is 1; it must be from 0 up to, not including, 1"),
        (Settings { accumulate: 17, ..settings() }, "accumulate is 17; it must be from 1 to the batch, 16"),
        (Settings { label_smoothing: 2.0, ..settings() }, "label_smoothing is 2"),
        (
            Settings { cycles: 2, schedule: Schedule::Snapshot, ..settings() },
            "cycles is 2; it must be a divisor of the epochs, 3",
        ),
        (Settings { patience: Some(0), ..settings() }, "patience is 0; it must be at least 1"),
        (Settings { unfreeze_every: Some(1), ..settings() }, "it needs freeze = weights"),
        (Settings { max_steps: Some(0), ..settings() }, "max_steps is 0; it must be at least 1"),
    ];
    for (settings, message) in wrong {
        let error = settings.validate().unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let (train, folder) = (pictures(8, 1), tempfile::tempdir().unwrap());
    let mut run = start(folder.path(), &train, settings());
    run.settings.batch = 0;
    let error = run.train(&train, &train, &mut Stop::default()).unwrap_err().to_string();
    assert!(error.contains("batch is 0; it must be from 1 to 65536"), "{error}");
}
