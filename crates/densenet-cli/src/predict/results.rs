//! Where predictions go: to stdout, to the file of `--out`, and as logits to that of `--logits`.

use std::path::Path;

use anyhow::Result;
use densenet::data::Unreadable;
use densenet::files::WholeFile;
use densenet::output::Output;
use npyz::{WriteOptions, WriterBuilder};
use serde_json::json;

use super::prediction::Prediction;
use super::predictor::InputLogits;
use super::table::Table;
use crate::output::{self, counted};

/// Takes the network's output for each input.
pub struct Results<'a> {
    labels: &'a [String],
    output: &'a Output,
    top: usize,
    destination: Destination,
    logits: Option<Logits>,
    predicted: usize,
    unreadable: Vec<Unreadable>,
}

/// Where predictions are written.
pub enum Destination {
    /// Lines on stdout.
    Lines,
    /// One JSON object on stdout.
    Object,
    /// A file.
    Table {
        /// The file.
        table: Table,
        /// Whether stdout gets a JSON object of what was done.
        json: bool,
    },
}

impl<'a> Results<'a> {
    pub fn new(labels: &'a [String], output: &'a Output, top: usize, destination: Destination) -> Self {
        Self { labels, output, top, destination, logits: None, predicted: 0, unreadable: Vec::new() }
    }

    /// Writes the logits of that many `inputs` to `path` from now on.
    pub fn with_logits(self, path: Option<&Path>, inputs: usize) -> Result<Self> {
        let logits = path.map(|path| Logits::create(path, inputs, self.labels.len())).transpose()?;
        Ok(Self { logits, ..self })
    }

    /// Whether `input` was predicted by an earlier run.
    pub fn holds(&self, input: &str) -> bool {
        matches!(&self.destination, Destination::Table { table, .. } if table.holds(input))
    }

    /// Takes the `logits` of `input`; those that are not finite are a failure of this input alone.
    pub fn add(&mut self, input: &str, logits: InputLogits<'_>) -> Result<()> {
        let values = logits.values();
        if values.iter().any(|logit| !logit.is_finite()) {
            let reason = "the network's output is not finite; the input or the weights hold values that are not";
            return self.fail(Unreadable { input: input.into(), reason: reason.into() });
        }
        if let Some(file) = &mut self.logits {
            file.write(values.iter())?;
        }
        let mut prediction = Prediction::new(input, values, self.labels, self.output, self.top);
        prediction.map = logits.write_map(input, prediction.likeliest())?;
        prediction.novelty = logits.novelty();
        match &mut self.destination {
            Destination::Lines => output::print(&prediction.line())?,
            Destination::Object => {
                let before = if self.predicted == 0 { "{\"predictions\":[" } else { "," };
                output::print(&format!("{before}{}", prediction.object()))?;
            }
            Destination::Table { table, .. } => table.add(&prediction)?,
        }
        self.predicted += 1;
        Ok(())
    }

    /// Takes an input that cannot be read: it is named, its logits are NaN, and the other inputs continue.
    pub fn fail(&mut self, input: Unreadable) -> Result<()> {
        if let Some(file) = &mut self.logits {
            file.write(std::iter::repeat_n(&f32::NAN, self.labels.len()))?;
        }
        self.leave_out(input);
        Ok(())
    }

    /// Takes an input that has no place among the logits.
    pub fn leave_out(&mut self, input: Unreadable) {
        output::complain("error", &anyhow::anyhow!("{input}"));
        self.unreadable.push(input);
    }

    /// Hands what was predicted to the operating system.
    pub fn flush(&mut self) -> Result<()> {
        match &mut self.destination {
            Destination::Table { table, .. } => table.flush(),
            _ => Ok(()),
        }
    }

    /// Ends what is written, and returns whether all inputs were predicted.
    pub fn finish(self) -> Result<bool> {
        if let Some(logits) = self.logits {
            logits.file.finish()?;
        }
        match self.destination {
            Destination::Lines => {}
            Destination::Object => {
                let before = if self.predicted == 0 { "{\"predictions\":[" } else { "" };
                output::print(&format!("{before}],\"unreadable\":{}}}\n", json!(self.unreadable)))?;
            }
            Destination::Table { table, json } => {
                table.finish()?;
                if json {
                    output::print_json(&json!({ "predicted": self.predicted, "unreadable": self.unreadable }))?;
                } else {
                    output::note(format_args!("{} predicted", counted(self.predicted, "input")));
                }
            }
        }
        output::count_unreadable(self.unreadable.len(), self.predicted + self.unreadable.len());
        Ok(self.unreadable.is_empty())
    }
}

/// The file of `--logits`.
struct Logits {
    file: WholeFile,
}

impl Logits {
    fn create(path: &Path, inputs: usize, classes: usize) -> Result<Self> {
        let mut file = WholeFile::create(path)?;
        let shape = [inputs as u64, classes as u64];
        let options = WriteOptions::new_header_only().dtype(<f32 as npyz::AutoSerialize>::default_dtype());
        file.write(&options.shape(&shape).writer(Vec::new()).write_header_only()?)?;
        Ok(Self { file })
    }

    fn write<'a>(&mut self, values: impl Iterator<Item = &'a f32>) -> Result<()> {
        let bytes: Vec<u8> = values.flat_map(|value| value.to_ne_bytes()).collect();
        Ok(self.file.write(&bytes)?)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::predict::predictor::BatchLogits;

    /// Bytes of memory that this process holds.
    fn resident() -> usize {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        4096 * pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
    }

    /// The logits of 20,000 inputs of 1,000 classes are 80 MB.
    #[test]
    fn memory_is_flat_however_many_inputs_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let (table, logits) = (folder.path().join("t.jsonl"), folder.path().join("l.npy"));
        let labels: Vec<String> = (0..1000).map(|class| format!("class {class}")).collect();
        let table = Table::open(&table, &[], false).unwrap();
        let output = Output::softmax();
        let results = Results::new(&labels, &output, 5, Destination::Table { table, json: false });
        let mut results = results.with_logits(Some(&logits), 20_000).unwrap();
        let batch = BatchLogits::plain(Array2::from_shape_fn((1, 1000), |(_, class)| (class * 37 % 101) as f32));
        let mut before = 0;
        for input in 0..20_000 {
            results.add(&format!("a.npy[{input}]"), batch.at(0)).unwrap();
            if input == 1000 {
                before = resident();
            }
        }
        let grown = resident().saturating_sub(before);
        assert!(grown < 20 << 20, "{grown} bytes more");
        results.finish().unwrap();
        assert_eq!(std::fs::metadata(logits).unwrap().len(), 128 + 80_000_000);
    }
}
