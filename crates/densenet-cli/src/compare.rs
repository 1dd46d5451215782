//! `densenet compare`.

mod measure;
mod networks;
mod plan;
mod report;
mod results;
mod runner;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use densenet::Architecture;
use densenet::data::TableOptions;
use densenet::info::Info;
use indicatif::HumanDuration;

use self::plan::Plan;
use self::runner::{Comparison, Ended, Task, seconds_of_a_step};
use crate::data_dir::DataDir;
use crate::output::{self, Misuse, counted};
use crate::report::REPORT;
use crate::threads::Threads;
use crate::{machine, watch};

/// Tests the article's claims: trains dense, residual and plain networks with the same layers
///
/// Writes plan.toml, results.jsonl with a line per finished run, and report.html to DIR. Running the same command again
/// resumes the comparison. To combine the results of several machines, each with its own --part, concatenate their
/// results.jsonl files.
#[derive(Args)]
#[command(after_help = "Example: densenet compare --plan quick --out runs/compare\n\
    or:      densenet compare --plan article --dry-run\n\
    or:      densenet compare --report runs/compare")]
pub struct Compare {
    /// The plan: article, quick, or a TOML file
    #[arg(long, value_name = "PLAN", default_value = "article")]
    plan: PathBuf,
    /// The comparison's folder [default: runs/compare-PLAN]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// List the runs with their approximate cost, and train nothing
    #[arg(long)]
    dry_run: bool,
    /// Do only every N-th run, starting with the I-th, e.g. 2/3
    #[arg(long, value_name = "I/N", value_parser = part)]
    part: Option<Part>,
    /// Print the plan and exit
    #[arg(long)]
    print_plan: bool,
    /// Only rebuild the page of a comparison's folder from its finished runs
    #[arg(long, value_name = "DIR", conflicts_with_all = ["plan", "out", "dry_run", "part", "print_plan"])]
    report: Option<PathBuf>,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    threads: Threads,
}

/// Every `of`-th run, from number `first` on, from 0.
#[derive(Clone, Copy, Debug)]
struct Part {
    first: usize,
    of: usize,
}

fn part(text: &str) -> Result<Part, String> {
    let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match numbers {
        Some((i, n)) if (1..=n).contains(&i) => Ok(Part { first: i - 1, of: n }),
        _ => Err("it must be I/N with I from 1 to N, such as 2/3".into()),
    }
}

impl Compare {
    pub fn run(self) -> Result<ExitCode> {
        if let Some(folder) = &self.report {
            report::write(folder)?;
            output::note(format_args!("wrote {}", folder.join(REPORT).display()));
            return Ok(ExitCode::SUCCESS);
        }
        let plan = Plan::read(&self.plan)?;
        if self.print_plan {
            output::print(&plan.text()?)?;
            return Ok(ExitCode::SUCCESS);
        }
        let threads = self.threads.start()?;
        let data = self.data_dir.open(&plan.data, &TableOptions::default())?;
        if data.train.classes().len() < 2 || data.train.labels().len() != data.train.len() {
            return Err(Misuse(format!("{}: a comparison needs pictures of at least two classes", plan.data)).into());
        }
        let comparison = Comparison::new(plan, data, self.folder());
        let tasks = comparison.tasks()?;
        let part = self.part.unwrap_or(Part { first: 0, of: 1 });
        let tasks: Vec<Task> = tasks.into_iter().skip(part.first).step_by(part.of).collect();
        if self.dry_run {
            output::print(&costs(&comparison, &tasks)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        compare(&comparison, &tasks, threads)
    }

    fn folder(&self) -> PathBuf {
        let name = self.plan.file_stem().unwrap_or_default().to_string_lossy();
        self.out.clone().unwrap_or_else(|| PathBuf::from(format!("runs/compare-{name}")))
    }
}

/// Does `tasks`, and writes the page after each.
fn compare(comparison: &Comparison, tasks: &[Task], threads: usize) -> Result<ExitCode> {
    let folder = &comparison.folder;
    comparison.plan.keep(folder)?;
    machine::save(folder, threads)?;
    let interrupted = watch::interruption()?;
    let before = comparison.done()?;
    let mut left = tasks.iter().filter(|task| !before.contains(&task.id)).count();
    output::note(format_args!("{} to do; writing to {}", counted(left, "run"), folder.display()));
    let (begun, mut done) = (Instant::now(), 0);
    let ended = comparison.run(tasks, &interrupted, |task| {
        (left, done) = (left - 1, done + 1);
        let time = HumanDuration(begun.elapsed() / done * left as u32);
        output::note(format_args!("{} is done; {} left, about {time}", task.id, counted(left, "run")));
        report::write(folder)
    })?;
    report::write(folder)?;
    match ended {
        Ended::Done => output::note(format_args!("wrote {}", folder.join(REPORT).display())),
        Ended::Interrupted => output::note("saved; run the same command again to resume"),
    }
    Ok(ExitCode::SUCCESS)
}

/// What the runs cost, one line for each network of an experiment.
fn costs(comparison: &Comparison, tasks: &[Task]) -> Result<String> {
    let header = ["experiment", "network", "parameters", "multiply-adds", "runs", "minutes, estimated"];
    let mut rows = vec![header.map(String::from).to_vec()];
    let mut seconds = 0.0;
    let name = |task: &Task| (task.experiment.clone(), task.network.clone());
    for (i, task) in tasks.iter().enumerate() {
        if tasks[..i].iter().any(|before| name(before) == name(task)) {
            continue;
        }
        let of_network = (0..tasks.len()).filter(|&other| name(&tasks[other]) == name(task));
        let (trained, shared): (Vec<usize>, Vec<usize>) =
            of_network.partition(|&other| !tasks[..other].iter().any(|before| before.is_like(&tasks[other])));
        let own = seconds_of_a_run(comparison, task)? * trained.len() as f64;
        seconds += own;
        rows.push(cost(task, trained.len() + shared.len(), own)?);
    }
    let (table, runs) = (output::table(&rows), counted(tasks.len(), "run"));
    let (steps, minutes) = (comparison.plan.steps, seconds / 60.0);
    Ok(format!("{table}\n{runs} of {steps} steps each, about {minutes:.0} minutes in all; duplicates are run once\n"))
}

fn cost(task: &Task, runs: usize, seconds: f64) -> Result<Vec<String>> {
    let architecture = Architecture::new(&task.config)?;
    let macs = Info::new(&architecture, task.config.input_size)?.macs;
    let numbers = [output::count(architecture.num_parameters() as u64), output::count(macs)];
    let names = [task.experiment.clone(), task.network.clone()];
    Ok([&names[..], &numbers, &[runs.to_string(), format!("{:.1}", seconds / 60.0)]].concat())
}

fn seconds_of_a_run(comparison: &Comparison, task: &Task) -> Result<f64> {
    Ok(seconds_of_a_step(&task.config, comparison.plan.training.batch)? * comparison.plan.steps as f64)
}
