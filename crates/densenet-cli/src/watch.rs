//! A training run as the person at the terminal sees it.

use std::collections::HashSet;
#[cfg(feature = "serve")]
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "serve")]
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use densenet::Architecture;
use densenet::data::{DataSet, Part, Unreadable};
use densenet::evaluation::Evaluation;
use densenet::training::{BEST, EpochReport, LAST, Measure, Observer, Run, StepReport};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
#[cfg(feature = "serve")]
use tokio::signal::unix::{SignalKind, signal};

use crate::eval::headline;
use crate::output;

/// The time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Set by the first Ctrl-C or SIGTERM; the second ends the program at once.
pub fn interruption() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let pressed = flag.clone();
    let handler = move || {
        if pressed.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        output::note("\nfinishing the step, then saving (interrupt again to quit at once)");
    };
    #[cfg(feature = "serve")]
    at_termination(handler.clone()).context("listening for SIGTERM")?;
    ctrlc::set_handler(handler).context("listening for Ctrl-C")?;
    Ok(flag)
}

/// Calls `handler` at each SIGTERM, with which `docker stop`, systemd and batch queues end a program. The option of
/// `ctrlc` for it also takes SIGHUP, even where nohup ignores it: a run would end with the terminal that it was meant
/// to outlive.
#[cfg(feature = "serve")]
fn at_termination(handler: impl Fn() + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut terminations = runtime.block_on(async { signal(SignalKind::terminate()) })?;
    let listen = move || {
        runtime.block_on(async {
            while terminations.recv().await.is_some() {
                handler();
            }
        });
    };
    thread::Builder::new().name("sigterm".into()).spawn(listen)?;
    Ok(())
}

/// Says what is about to be done, and returns at which step it ends.
pub fn announce(run: &Run, data: &DataSet, folder: &Path, threads: usize) -> u64 {
    let (config, settings) = (&run.card().config, &run.settings);
    let parameters = Architecture::new(config).map_or(0, |architecture| architecture.num_parameters());
    let of_epoch = settings.steps(data.train.len());
    let all = (of_epoch * settings.epochs) as u64;
    let steps = settings.max_steps.map_or(all, |limit| limit.min(all));
    output::note(format_args!(
        "{} parameters; pictures of {}x{size}x{size}; {} {}",
        output::count(parameters as u64),
        config.in_channels,
        parts(data),
        kinds(run),
        size = config.input_size,
    ));
    output::note(format_args!(
        "{} of {}{} from step {} on; {}; writing to {}",
        output::counted(steps as usize, "step"),
        output::counted(settings.batch, "picture"),
        joined(data.train.len(), of_epoch, settings.batch),
        run.progress().step,
        output::counted(threads, "thread"),
        folder.display(),
    ));
    steps
}

/// How many classes or labels there are.
fn kinds(run: &Run) -> String {
    let count = run.card().config.num_classes;
    match run.card().output().is_independent() {
        true => format!("with {}", output::counted(count, "label")),
        false => format!("in {}", output::counted(count, "class")),
    }
}

/// How many pictures are for what.
fn parts(data: &DataSet) -> String {
    let of = |pictures: usize, purpose| format!("{} for {purpose}", output::count(pictures as u64));
    let held_out = |part| if part == Part::Test { "testing" } else { "validation" };
    let validation =
        data.validation.as_ref().map_or(String::new(), |split| format!(", {}", of(split.len(), "validation")));
    let test = of(data.test.len(), held_out(data.test.part()));
    format!("{}{validation} and {test}", of(data.train.len(), "training"))
}

/// Says that the last batch of an epoch takes in a remainder that is too small for a batch of its own, if it does.
fn joined(pictures: usize, steps: usize, batch: usize) -> String {
    match pictures - (steps - 1) * batch {
        last if last > batch => format!(" (the last of an epoch of {last}: the remainder is too small for batch-norm)"),
        _ => String::new(),
    }
}

/// The results of a finished run, and where its weights are; `judged` is its best network's evaluation.
pub fn summary(run: &Run, folder: &Path, chosen_by: Part, judged: Option<(Part, &Evaluation)>) -> String {
    let progress = run.progress();
    let weights = if progress.best.is_some() { BEST } else { LAST };
    let (epochs, steps) = (output::counted(progress.epoch, "epoch"), output::counted(progress.step as usize, "step"));
    let mut text = format!("trained for {epochs}, {steps}");
    text += &match progress.best {
        Some(best) => {
            let measure = if run.card().output().is_independent() { Measure::MeanAuc } else { Measure::Top1 };
            format!("; best by {chosen_by} {} (epoch {})\n", scored(measure, best), progress.best_epoch)
        }
        None => "; no epoch is done, so nothing was evaluated\n".into(),
    };
    if let Some((Part::Test, evaluation)) = judged.filter(|_| chosen_by != Part::Test) {
        let said = headline(evaluation);
        text += &format!("test, seen once and after all choices: {said}\n");
    }
    text + &format!("weights: {}\n", folder.join(weights).display())
}

/// A measure's value, formatted for people.
pub fn scored(measure: Measure, value: f64) -> String {
    match measure {
        Measure::Top1 => format!("accuracy {:.2} %", 100.0 * value),
        Measure::MeanAuc => format!("mean AUC {value:.4}"),
    }
}

/// Shows a run: a bar on a terminal, now and then a line elsewhere.
pub struct Watch {
    bar: ProgressBar,
    epochs: usize,
    interrupted: Arc<AtomicBool>,
    last_step: Instant,
    last_line: Instant,
    /// Seconds per picture, smoothed.
    pace: Option<f64>,
    /// Pictures that could not be read, each named once.
    unreadable: HashSet<String>,
}

impl Watch {
    /// A watch of a run of `steps` in all, of which `done` were done before.
    pub fn new(epochs: usize, steps: u64, done: u64, interrupted: Arc<AtomicBool>) -> Self {
        let style = ProgressStyle::with_template("{msg}  {bar:30} {pos}/{len}  {eta} left");
        let bar = ProgressBar::new(steps).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_position(done);
        bar.reset_eta();
        let now = Instant::now();
        Self { bar, epochs, interrupted, last_step: now, last_line: now, pace: None, unreadable: HashSet::new() }
    }

    /// How many pictures could not be read.
    pub fn count_of_unreadable(&self) -> usize {
        self.unreadable.len()
    }

    fn go_on(&self) -> ControlFlow<()> {
        if self.interrupted.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn say(&self, line: String) {
        if self.bar.is_hidden() { output::note(line) } else { self.bar.println(line) }
    }
}

impl Observer for Watch {
    fn step(&mut self, step: &StepReport, images: usize) -> ControlFlow<()> {
        let took = self.last_step.elapsed().as_secs_f64() / images as f64;
        self.last_step = Instant::now();
        let pace = self.pace.map_or(took, |pace| 0.9 * pace + 0.1 * took);
        self.pace = Some(pace);
        self.bar.set_position(step.step);
        let status = format!(
            "epoch {}/{}  loss {:.4}  {:.0} images/s",
            step.epoch,
            self.epochs,
            step.loss,
            1.0 / pace.max(1e-9)
        );
        if self.bar.is_hidden() && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let steps = self.bar.length().unwrap_or(0);
            self.say(format!("{status}  step {}/{steps}  {} left", step.step, HumanDuration(self.bar.eta())));
        }
        self.bar.set_message(status);
        self.go_on()
    }

    fn evaluated(&mut self, images: u64) -> ControlFlow<()> {
        self.bar.set_message(format!("evaluating: {images} images"));
        self.last_step = Instant::now();
        self.go_on()
    }

    fn epoch(&mut self, epoch: &EpochReport) {
        self.say(format!(
            "epoch {}/{}: train loss {:.4}, accuracy {:.2} %; {} loss {:.4}, {}; {:.1} s",
            epoch.epoch,
            self.epochs,
            epoch.train_loss,
            100.0 * epoch.train_accuracy,
            epoch.part,
            epoch.held_out_loss,
            scored(epoch.measure, epoch.held_out_score),
            epoch.seconds
        ));
        self.last_step = Instant::now();
    }

    fn unsaved(&mut self, error: &densenet::Error) {
        self.say(format!("densenet: warning: {error}; the run goes on, and tries again at its next save"));
    }

    fn unreadable(&mut self, picture: &Unreadable) {
        if self.unreadable.insert(picture.input.clone()) {
            self.say(format!("densenet: warning: {picture}; the run goes on without it"));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
