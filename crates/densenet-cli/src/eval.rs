//! `densenet eval`.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use densenet::data::{Augment, Part, Split};
use densenet::evaluation::{Evaluation, evaluate, log_softmax, ranking};
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::Array4;

use crate::data_dir::DataDir;
use crate::model::Model;
use crate::output;
use crate::picture::{Palette, WIDTH, draw};
use crate::preparing::Preparing;
use crate::reading::Reading;
use crate::threads::Threads;
use crate::word::word;

/// Classes beyond which a confusion table would not fit a terminal; the commonest mistakes are listed instead.
const WIDEST_TABLE: usize = 20;

/// Evaluates weights on a data set
#[derive(Args)]
#[command(
    after_help = "Example: densenet eval --weights runs/seed-fashion-mnist/best.safetensors --data fashion-mnist"
)]
pub struct Eval {
    /// A weight file (safetensors, or a PyTorch checkpoint), or the name of a built-in model
    #[arg(long, value_name = "W")]
    weights: PathBuf,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    preparing: Preparing,
    /// fashion-mnist, mnist, cifar10, cifar100, or a folder of classes, IDX files or CIFAR binaries
    #[arg(long, value_name = "D")]
    data: String,
    /// The part of the data to score: train, val or test [default: what is held out; all of a folder that has no parts]
    #[arg(long, value_name = "PART", value_parser = word::<Part>)]
    part: Option<Part>,
    #[command(flatten)]
    data_dir: DataDir,
    /// Pictures at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: u32,
    /// Draw the first N pictures with what the network takes them for
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "json")]
    show: usize,
    #[command(flatten)]
    threads: Threads,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Eval {
    pub fn run(self) -> Result<ExitCode> {
        self.threads.start()?;
        let model = self.reading.load(&self.weights, &self.preparing)?;
        model.preprocessing()?;
        let split = self.labelled(&model, self.data_dir.open(&self.data)?.into_part(self.part)?)?;
        let labels = split.classes();
        let evaluation = self.evaluate(&model, &split)?;
        evaluation.unreadable.iter().for_each(|picture| output::complain("error", &anyhow!("{picture}")));
        if self.json {
            output::print_json(&evaluation)?;
        } else {
            output::print(&describe(&evaluation, labels))?;
            if self.show > 0 {
                output::print(&gallery(&model, labels, &split, self.show)?)?;
            }
        }
        output::note_turned(split.turned(), model.preprocessing()?);
        output::count_unreadable(evaluation.unreadable.len(), split.len());
        Ok(if evaluation.unreadable.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The pictures with the labels of the weights, matched by name; those of the data where the weights have none.
    fn labelled(&self, model: &Model, split: Split) -> Result<Split> {
        let (known, count) = (&model.card.labels, model.card.config.num_classes);
        let found = split.classes().to_vec();
        if known.is_empty() && found.len() != count {
            bail!("{} has {} classes; these weights know {count}", self.data, found.len());
        }
        // Names may come twice, and are then told apart by their places alone.
        if known.is_empty() || *known == found {
            return Ok(split);
        }
        split.relabelled(known).map_err(|stray| match found.iter().zip(known).position(|(name, _)| *name == stray) {
            Some(class) if found.len() == count => {
                anyhow!("class {class} of {} is {stray}; these weights know it as {}", self.data, known[class])
            }
            _ => anyhow!("{} has a class {stray}, which is none of the {count} that these weights know", self.data),
        })
    }

    fn evaluate(&self, model: &Model, test: &Split) -> Result<Evaluation> {
        let style = ProgressStyle::with_template("evaluating {bar:30} {pos}/{len}  {per_sec}  {eta} left");
        let bar =
            ProgressBar::new(test.len() as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let evaluation = evaluate(&model.network, test, model.preprocessing()?, self.batch as usize, |images| {
            bar.set_position(images);
            ControlFlow::Continue(())
        })?;
        bar.finish_and_clear();
        Ok(evaluation.unwrap_or_default())
    }
}

fn describe(evaluation: &Evaluation, labels: &[String]) -> String {
    let Evaluation { top1, top5, loss, images, correct, confusion, .. } = evaluation;
    let headline = format!(
        "accuracy {:.2} % ({} of {} pictures), top 5 {:.2} %, loss {loss:.4}\n\n",
        100.0 * top1,
        output::count(*correct),
        output::count(*images),
        100.0 * top5
    );
    headline + &if labels.len() <= WIDEST_TABLE { table(confusion, labels) } else { mistakes(confusion, labels) }
}

/// A row per true class, a column per predicted class.
fn table(confusion: &[Vec<u64>], labels: &[String]) -> String {
    let short = |label: &String| label.chars().take(6).collect::<String>();
    let header = std::iter::once("true \\ predicted".to_string()).chain(labels.iter().map(short));
    let header: Vec<String> = header.chain(["right".to_string()]).collect();
    let rows = confusion.iter().zip(labels).enumerate().map(|(class, (row, label))| {
        let counts = row.iter().map(|&count| if count == 0 { "·".into() } else { count.to_string() });
        let right = 100.0 * row[class] as f64 / row.iter().sum::<u64>().max(1) as f64;
        std::iter::once(label.clone()).chain(counts).chain([format!("{right:.1} %")]).collect()
    });
    output::table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

/// The ten commonest mistakes.
fn mistakes(confusion: &[Vec<u64>], labels: &[String]) -> String {
    let cells =
        confusion.iter().enumerate().flat_map(|(class, row)| row.iter().enumerate().map(move |cell| (class, cell)));
    let mut wrong: Vec<_> = cells.filter(|(class, (predicted, count))| class != predicted && **count > 0).collect();
    wrong.sort_by_key(|(_, (_, count))| std::cmp::Reverse(**count));
    let header = ["true", "predicted", "pictures"].map(String::from).to_vec();
    let rows = wrong
        .iter()
        .take(10)
        .map(|(class, (predicted, count))| vec![labels[*class].clone(), labels[*predicted].clone(), count.to_string()]);
    output::table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

/// The first `count` pictures side by side, each above what it is and what the network takes it for.
fn gallery(model: &Model, labels: &[String], test: &Split, count: usize) -> Result<String> {
    let palette = Palette::of_stdout();
    let mut text = String::new();
    let readable = (0..test.len()).filter(|&index| test.picture(index).is_ok());
    for row in readable.take(count).collect::<Vec<_>>().chunks(3) {
        let drawings = row.iter().map(|&index| draw(&test.picture(index)?, palette)).collect::<Result<Vec<_>>>()?;
        for line in 0..WIDTH / 2 {
            let lines: Vec<&str> = drawings.iter().map(|drawing| drawing[line].as_str()).collect();
            text += &format!("\n{}", lines.join("  "));
        }
        let captions = captions(model, labels, test, row)?;
        text += &format!("\n{}\n", captions.join("  ").trim_end());
    }
    Ok(text)
}

fn captions(model: &Model, labels: &[String], test: &Split, row: &[usize]) -> Result<Vec<String>> {
    let preprocessing = model.preprocessing()?;
    let size = preprocessing.size;
    let mut images = Array4::zeros((row.len(), preprocessing.channels(), size, size));
    let out = images.as_slice_mut().expect("a new array is contiguous");
    test.fill(row, preprocessing, Augment::None, 0, out)?;
    let logits = model.network.logits(images.view())?;
    let caption = |(logits, &index): (_, &usize)| {
        let predicted = ranking(logits)[0];
        let percent = 100.0 * log_softmax(logits)[predicted].exp();
        let truth = test.labels()[index];
        let verdict = match predicted == truth {
            true => format!("{} {percent:.0} %", labels[predicted]),
            false => format!("{} {percent:.0} %, is {}", labels[predicted], labels[truth]),
        };
        format!("{:WIDTH$}", verdict.chars().take(WIDTH).collect::<String>())
    };
    Ok(logits.rows().into_iter().zip(row).map(caption).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_for_few_classes_and_the_commonest_mistakes_for_many() {
        let labels = ["cat", "leopard"].map(String::from);
        let confusion = [vec![3, 1], vec![0, 2]];
        let expected = "true \\ predicted  cat  leopar    right\ncat                 3       1   75.0 %\nleopard             ·       2  100.0 %\n";
        assert_eq!(table(&confusion, &labels), expected);
        assert_eq!(mistakes(&confusion, &labels), "true  predicted  pictures\ncat     leopard         1\n");
    }
}
