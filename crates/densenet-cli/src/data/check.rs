//! `densenet data check`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use densenet::data::Part;
use indicatif::{ParallelProgressIterator, ProgressBar, ProgressStyle};
use rayon::prelude::*;
use serde_json::json;

use super::findings::{FEW, Findings, Member, Same, TINY, parts};
use super::inspection::Record;
use crate::data_options::DataOptions;
use crate::output::{self, count, counted};
use crate::threads::Threads;

/// Examples of each kind that are printed.
const EXAMPLES: usize = 10;
/// Ratio of the largest to the smallest class beyond which classes are reported as unbalanced.
const UNBALANCED: f64 = 10.0;

/// Reads every picture and reports what is wrong with a data set
///
/// Harmful, with exit code 1: files that are empty or cannot be read, the same picture with different labels or in
/// training and held-out parts, classes without training pictures, and whatever else `densenet train` refuses, such as
/// a single class. Worth a look: other duplicates, tiny pictures, classes with few pictures or far fewer than others,
/// and classes with nearly the same name.
#[derive(Args)]
#[command(after_help = "Example: densenet data check photos --json")]
pub struct Check {
    /// fashion-mnist, mnist, cifar10, cifar100, or a table of pictures (.csv), or a folder of classes, IDX files or CIFAR binaries
    #[arg(value_name = "DATA")]
    data: String,
    #[command(flatten)]
    threads: Threads,
    /// Print all findings as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data_options: DataOptions,
}

impl Check {
    pub fn run(self) -> Result<ExitCode> {
        self.threads.start()?;
        let data = self.data_options.open(&self.data)?;
        let pictures: Vec<_> =
            parts(&data).into_iter().flat_map(|split| (0..split.len()).map(move |index| (split, index))).collect();
        let bar = bar(pictures.len());
        let inspected = pictures.into_par_iter().progress_with(bar.clone());
        let records: Vec<Record> = inspected.map(|(split, index)| Record::new(split, index)).collect();
        bar.finish_and_clear();
        let findings = Findings::new(&data, &records);
        match self.json {
            true => {
                let mut object = json!(findings);
                object["harmful"] = findings.is_harmful().into();
                output::print_json(&object)?;
            }
            false => output::print(&in_words(&findings))?,
        }
        Ok(if findings.is_harmful() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn bar(pictures: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} pictures  {per_sec}  {eta} left");
    ProgressBar::new(pictures as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn in_words(findings: &Findings) -> String {
    let pictures = |part: Part| {
        let pictures = *findings.pictures.get(&part.to_string())?;
        Some(format!("{} {part}", count(pictures as u64)))
    };
    let parts: Vec<String> = [Part::Train, Part::Validation, Part::Test].into_iter().filter_map(pictures).collect();
    let (parts, classes) = (parts.join(", "), counted(findings.classes.len(), "class"));
    let mut text = format!("pictures: {parts}; {classes}\n");
    let sections = [harmful(findings), noteworthy(findings)].concat();
    for (title, lines) in sections.iter().filter(|(_, lines)| !lines.is_empty()) {
        text += &format!("{title}: {}\n", count(lines.len() as u64));
        lines.iter().take(EXAMPLES).for_each(|line| text += &format!("  {line}\n"));
        if lines.len() > EXAMPLES {
            text += &format!("  and {} more, which --json lists\n", count((lines.len() - EXAMPLES) as u64));
        }
    }
    text + if findings.is_harmful() { "harmful to training\n" } else { "nothing that would harm training\n" }
}

/// Titles, and a line for each thing that is found.
type Sections = Vec<(&'static str, Vec<String>)>;

fn harmful(findings: &Findings) -> Sections {
    vec![
        ("harmful, cannot be read", findings.unreadable.iter().map(ToString::to_string).collect()),
        ("harmful, empty files", findings.empty.clone()),
        ("harmful, the same picture with different labels", lines(&findings.conflicts)),
        ("harmful, held-out pictures that are also in the training part", lines(&findings.leaks)),
        ("harmful, classes without a training picture", findings.missing.clone()),
        ("harmful, refused by densenet train", findings.refused.clone()),
    ]
}

fn noteworthy(findings: &Findings) -> Sections {
    let few = |name: &String| {
        let class = findings.classes.iter().find(|class| class.name == *name);
        format!("{name}: {}, fewer than {FEW}", class.map_or(0, |class| class.pictures[&Part::Train.to_string()]))
    };
    let tiny =
        findings.tiny.iter().map(|tiny| format!("{}: {}x{}, smaller than {TINY}", tiny.input, tiny.height, tiny.width));
    let unbalanced = findings.imbalance.filter(|ratio| *ratio > UNBALANCED);
    let unbalanced =
        unbalanced.map(|ratio| format!("the largest has {ratio:.1} times the training pictures of the smallest"));
    let alike = |names: &Vec<String>| {
        let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
        quoted.join(" and ")
    };
    vec![
        ("the same picture several times", lines(&findings.duplicates)),
        ("tiny pictures", tiny.collect()),
        ("classes with few training pictures", findings.few.iter().map(few).collect()),
        ("classes whose names differ only in case or blanks", findings.alike.iter().map(alike).collect()),
        ("unbalanced classes (--balance weights or sampling makes up for it)", unbalanced.into_iter().collect()),
    ]
}

fn lines(groups: &[Same]) -> Vec<String> {
    let member = |member: &Member| format!("{} ({} {})", member.input, member.part, member.labels.join("+"));
    let line = |same: &Same| {
        let members: Vec<String> = same.pictures.iter().map(member).collect();
        format!("{}{}", members.join(" = "), if same.same_file { "" } else { " by their pixels" })
    };
    groups.iter().map(line).collect()
}
