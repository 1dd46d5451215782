//! `densenet bench`.

mod layers;
mod spent;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Args, Subcommand};
use densenet::info::Info;
use densenet::network::{Backprop, DenseNet, Memory, Step, StepOptions};
use densenet::optimiser::Sgd;
use densenet::profile::{Pass, Probe, Profile};
use densenet::{Architecture, Config};
use densenet_kernels::peak::fma_peak;
use densenet_kernels::random::Stream;
use densenet_kernels::simd::Isa;
use ndarray::Array4;
use serde::Serialize;

use crate::machine;
use crate::reading::{Precision, with_bf16};
use crate::threads::Threads;
use crate::word::word;
use crate::{model, output};
use layers::Layers;
use spent::Spent;

/// Times a network on random pictures
#[derive(Args)]
#[command(after_help = "Example: densenet bench infer --model densenet121 --batch 1 --threads 2")]
pub struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// One prediction of a batch of pictures
    Infer(Infer),
    /// One training step: forward, backward and the optimiser
    Train(Train),
}

#[derive(Args)]
#[command(after_help = "Example: densenet bench infer --model densenet121 --batch 8 --threads 2 --profile")]
struct Infer {
    #[command(flatten)]
    case: Case,
    /// Predict with int8, bf16 or f32
    #[arg(long, value_name = "P", value_enum, default_value = "f32")]
    precision: Precision,
    /// Show where the time goes, layer by layer, and how each layer is computed
    #[arg(long)]
    profile: bool,
}

#[derive(Args)]
#[command(after_help = "Example: densenet bench train --model seed --batch 64 --threads 2 --profile")]
struct Train {
    #[command(flatten)]
    case: Case,
    /// normal, or low: bottlenecks that would take more memory than gradients do are recomputed in the backward pass
    #[arg(long, value_parser = word::<Memory>, value_name = "WORD", default_value = "normal")]
    memory: Memory,
    /// Show where the time goes in each part of the network: forward pass, input gradients, weight gradients, and the
    /// rest
    #[arg(long)]
    profile: bool,
}

#[derive(Args)]
struct Case {
    /// The network (densenet-L-k and densenet-bc-L-k may have any depth), a built-in model, or a weight file
    #[arg(long, value_parser = named)]
    model: String,
    /// Pictures at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Height and width of the pictures [default: the network's own]
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    #[command(flatten)]
    threads: Threads,
    /// About how long to measure
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = seconds)]
    seconds: f64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What was measured; the fields of `--json`.
#[derive(Serialize)]
struct Figures {
    model: String,
    batch: usize,
    size: usize,
    threads: usize,
    isa: &'static str,
    runs: usize,
    median_ms: f64,
    min_ms: f64,
    images_per_s: f64,
    /// Of the whole process; none where the system does not report it.
    peak_rss_mib: Option<f64>,
    /// Of the network's multiply-adds as direct convolutions take them, three times as many in training.
    gflops: f64,
    fma_peak_gflops: f64,
    fma_peak_fraction: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Breakdown>,
}

/// Where the time goes.
#[derive(Serialize)]
#[serde(untagged)]
enum Breakdown {
    Layers(Layers),
    Stages(Vec<Spent>),
}

/// A time to measure.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().map_err(|_| "expected a number of seconds".to_string())?;
    if (0.0..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("it must be from 0 to 3600".into()) }
}

/// The name of a known network, or of weights.
fn named(name: &str) -> Result<String, String> {
    if model::has_weights(name) { Ok(name.into()) } else { model::preset(name) }
}

/// The network of that name. Values of weights are not needed: they do not change how long it takes.
fn config(name: &str) -> Result<Config> {
    match model::has_weights(name) {
        true => Ok(model::open(Path::new(name), None)?.config()?),
        false => model::untrained(name),
    }
}

/// One run of what is timed; it records where the time goes in a profile, if there is one.
type Run = Box<dyn FnMut(Option<&Profile>) -> Result<()>>;

/// What is timed.
struct Timed {
    run: Run,
    /// What inference consists of; none in training.
    steps: Option<Vec<Step>>,
}

/// Runs before the clock starts.
const WARM_UP: usize = 2;

/// Fewest runs to take a median of.
const FEWEST: usize = 3;

impl Bench {
    pub fn run(self) -> Result<ExitCode> {
        match self.what {
            What::Infer(Infer { case, precision, profile }) => {
                case.run(1, profile, |config, images| infer(config, images, precision))
            }
            What::Train(Train { case, memory, profile }) => {
                case.run(3, profile, |config, images| train(config, images, memory))
            }
        }
    }
}

impl Case {
    /// Times what `prepare` returns, which does `passes` times the forward pass's arithmetic.
    fn run(
        self,
        passes: u64,
        profiled: bool,
        prepare: impl FnOnce(&Config, Array4<f32>) -> Result<Timed>,
    ) -> Result<ExitCode> {
        let threads = self.threads.start()?;
        let config = config(&self.model)?;
        let size = self.size.unwrap_or(config.input_size);
        let macs = Info::new(&Architecture::new(&config)?, size)?.macs;
        let batch = usize::from(self.batch);
        let mut timed = prepare(&config, pictures(&config, batch, size))?;
        let times = measure(&mut *timed.run, self.seconds)?;
        let (median, min) = (times[times.len() / 2], times[0]);
        let (peak_rss_mib, peak) = (machine::peak_rss_mib(), fma_peak() / 1e9);
        let gflops = (2 * passes * macs * batch as u64) as f64 / median / 1e9;
        let figures = Figures {
            model: self.model,
            batch,
            size,
            threads,
            isa: Isa::current().name(),
            runs: times.len(),
            median_ms: median * 1e3,
            min_ms: min * 1e3,
            images_per_s: batch as f64 / median,
            peak_rss_mib,
            gflops,
            fma_peak_gflops: peak,
            fma_peak_fraction: gflops / peak,
            profile: if profiled { Some(timed.breakdown(times.len(), peak)?) } else { None },
        };
        if self.json {
            output::print_json(&figures)?
        } else {
            output::print(&figures.describe())?
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Figures {
    fn describe(&self) -> String {
        let Self { model, batch, size, threads, isa, median_ms, min_ms, images_per_s, .. } = self;
        let memory = self.peak_rss_mib.map_or("unknown".into(), |mib| format!("{mib:.0} MiB"));
        format!(
            "{model}, {batch} x {size}x{size}, {threads} threads, {isa}: {median_ms:.2} ms (min {min_ms:.2}, {} runs), \
             {images_per_s:.1} images/s\n\
             {:.0} GFLOP/s, {:.2} of the processor's {:.0}; peak memory {memory}\n{}",
            self.runs,
            self.gflops,
            self.fma_peak_fraction,
            self.fma_peak_gflops,
            self.profile.as_ref().map_or(String::new(), |found| format!("\n{}", found.table(self.fma_peak_gflops))),
        )
    }
}

/// Uniform random numbers with the network's channels.
fn pictures(config: &Config, batch: usize, size: usize) -> Array4<f32> {
    let stream = Stream::new(0, 0);
    let mut index = 0;
    Array4::from_shape_simple_fn((batch, config.in_channels, size, size), || {
        index += 1;
        2.0 * stream.uniform(index) as f32 - 1.0
    })
}

fn infer(config: &Config, images: Array4<f32>, precision: Precision) -> Result<Timed> {
    let mut network = DenseNet::<f32>::new(config, 0)?;
    match precision {
        Precision::Int8 => network = network.quantize(&network.calibration_of_norms())?,
        Precision::Bf16 => network = with_bf16(network),
        Precision::F32 => {}
    }
    let steps = Some(network.steps(images.dim().2, images.dim().3)?);
    let run = move |profile: Option<&Profile>| {
        match profile {
            Some(profile) => network.profiled_logits(images.view(), profile)?,
            None => network.logits(images.view())?,
        };
        Ok(())
    };
    Ok(Timed { run: Box::new(run), steps })
}

fn train(config: &Config, images: Array4<f32>, memory: Memory) -> Result<Timed> {
    let mut network = DenseNet::<f32>::new(config, 0)?;
    let mut backprop = Backprop::new(&network);
    let mut sgd = Sgd::new(network.parameters().len(), 0.9, true, 1e-4);
    let labels: Vec<u32> = (0..images.dim().0 as u32).map(|i| i % config.num_classes as u32).collect();
    let run = move |profile: Option<&Profile>| {
        let options = StepOptions { memory, profile, ..StepOptions::default() };
        backprop.run(&mut network, images.view(), &labels, &options)?;
        let descend = || sgd.step(1e-3, network.parameters_mut(), backprop.gradients());
        Probe::new(profile, "optimiser").time(Pass::Rest, 0, descend);
        Ok(())
    };
    Ok(Timed { run: Box::new(run), steps: None })
}

impl Timed {
    /// Where the time goes, over that many `runs`, on a processor with a peak of `peak` GFLOP/s.
    fn breakdown(&mut self, runs: usize, peak: f64) -> Result<Breakdown> {
        let Some(steps) = &self.steps else {
            let profile = Profile::default();
            (0..runs).try_for_each(|_| (self.run)(Some(&profile)))?;
            return Ok(Breakdown::Stages(Spent::of(&profile, runs, peak)));
        };
        let profiles: Vec<Profile> = (0..runs).map(|_| Profile::default()).collect();
        profiles.iter().try_for_each(|profile| (self.run)(Some(profile)))?;
        Ok(Breakdown::Layers(Layers::new(steps, &profiles, peak)))
    }
}

impl Breakdown {
    /// As a table, against a processor with a peak of `peak` GFLOP/s.
    fn table(&self, peak: f64) -> String {
        match self {
            Self::Layers(layers) => layers.table(),
            Self::Stages(spent) => spent::table(spent, peak),
        }
    }
}

/// Seconds of each run, in ascending order.
fn measure(run: &mut dyn FnMut(Option<&Profile>) -> Result<()>, seconds: f64) -> Result<Vec<f64>> {
    for _ in 0..WARM_UP {
        run(None)?;
    }
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < FEWEST || start.elapsed() < Duration::from_secs_f64(seconds) {
        let before = Instant::now();
        run(None)?;
        times.push(before.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}
