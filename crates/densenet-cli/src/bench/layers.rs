//! Where the time of inference goes, layer by layer and by parts of the network.

use densenet::network::{Part, Step};
use densenet::profile::{Profile, Row};
use serde::Serialize;

use crate::output;

/// What the layers take; the fields of `--json`.
#[derive(Debug, Serialize)]
pub struct Layers {
    /// Every operation, in order.
    layers: Vec<Layer>,
    /// Sums over operations that are alike.
    parts: Vec<Sum>,
    /// Over all operations.
    all: Cost,
}

#[derive(Debug, Serialize)]
struct Layer {
    #[serde(flatten)]
    step: Step,
    #[serde(flatten)]
    cost: Cost,
}

#[derive(Debug, Serialize)]
struct Sum {
    part: Part,
    operations: usize,
    #[serde(flatten)]
    cost: Cost,
}

/// What something takes of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Cost {
    /// The median over the runs, or a sum of such.
    ms: f64,
    /// The share of the time of all operations.
    share: f64,
    /// Multiply-adds of direct convolutions in the order that the network states: an algorithm that needs fewer looks
    /// faster.
    macs: u64,
    gflops: f64,
    fma_peak_fraction: f64,
}

impl Cost {
    fn new(ms: f64, all_ms: f64, macs: u64, peak: f64) -> Self {
        let gflops = 2.0 * macs as f64 / ms.max(1e-9) / 1e6;
        Self { ms, share: ms / all_ms.max(1e-9), macs, gflops, fma_peak_fraction: gflops / peak }
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![format!("{:.3}", self.ms), format!("{:.1}", 100.0 * self.share)];
        if self.macs > 0 {
            cells.extend([format!("{:.0}", self.gflops), format!("{:.0}", 100.0 * self.fma_peak_fraction)]);
        }
        cells
    }
}

impl Layers {
    /// What `steps` took in runs that each have a profile, on a processor with a peak of `peak` GFLOP/s.
    pub fn new(steps: &[Step], profiles: &[Profile], peak: f64) -> Self {
        let runs: Vec<Vec<Row>> = profiles.iter().map(Profile::rows).collect();
        let medians: Vec<(&Step, f64, u64)> = steps.iter().map(|step| median(step, &runs)).collect();
        let all_ms = medians.iter().map(|(_, ms, _)| ms).sum();
        let sum = |part: Option<Part>| {
            let chosen = medians.iter().filter(|(step, ..)| part.is_none_or(|part| step.part == part));
            let (count, ms, macs) =
                chosen.fold((0, 0.0, 0), |sum, &(_, ms, macs)| (sum.0 + 1, sum.1 + ms, sum.2 + macs));
            (count, Cost::new(ms, all_ms, macs, peak))
        };
        let parts = Part::ALL.into_iter().map(|part| (part, sum(Some(part)))).filter(|(_, (count, _))| *count > 0);
        let layer = |&(step, ms, macs): &(&Step, f64, u64)| Layer {
            step: step.clone(),
            cost: Cost::new(ms, all_ms, macs, peak),
        };
        Self {
            layers: medians.iter().map(layer).collect(),
            parts: parts.map(|(part, (operations, cost))| Sum { part, operations, cost }).collect(),
            all: sum(None).1,
        }
    }

    /// A row per operation, then a row per part.
    pub fn table(&self) -> String {
        let costs = ["ms", "% time", "GFLOP/s", "% peak"];
        let header = |first: &[&str]| first.iter().chain(&costs).map(|cell| cell.to_string()).collect();
        let layer = |Layer { step, cost }: &Layer| {
            [vec![step.name.clone(), step.to_string(), step.method.to_string()], cost.cells()].concat()
        };
        let part = |Sum { part, operations, cost }: &Sum| {
            [vec![part.to_string(), operations.to_string()], cost.cells()].concat()
        };
        let layers: Vec<Vec<String>> = self.layers.iter().map(layer).collect();
        let parts: Vec<Vec<String>> = self.parts.iter().map(part).collect();
        let all = [vec!["all".into(), self.layers.len().to_string()], self.all.cells()].concat();
        let layers = output::table(&[vec![header(&["layer", "shape", "method"])], layers].concat());
        let parts = output::table(&[vec![header(&["part", "operations"])], parts, vec![all]].concat());
        format!("{layers}\n{parts}")
    }
}

/// The median time of `step` over the `runs` in milliseconds, and its multiply-adds in one.
fn median<'a>(step: &'a Step, runs: &[Vec<Row>]) -> (&'a Step, f64, u64) {
    let mut rows: Vec<&Row> = runs.iter().flatten().filter(|row| row.stage == step.name).collect();
    rows.sort_by_key(|row| row.time);
    rows.get(rows.len() / 2).map_or((step, 0.0, 0), |row| (step, 1e3 * row.time.as_secs_f64(), row.macs))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use densenet::network::Method;
    use densenet::profile::{Pass, Probe};

    use super::*;

    fn step(name: &str, part: Part) -> Step {
        Step {
            name: name.into(),
            part,
            in_channels: 64,
            out_channels: 128,
            window: [1, 1],
            output: [56, 56],
            method: Method::Plain,
        }
    }

    #[test]
    fn a_slow_run_does_not_move_the_median() {
        let profiles: Vec<Profile> = (0..3).map(|_| Profile::default()).collect();
        for (profile, pause) in profiles.iter().zip([2, 60, 2]) {
            let pause = || std::thread::sleep(Duration::from_millis(pause));
            Probe::new(Some(profile), "a").time(Pass::Forward, 1_000_000, pause);
            Probe::new(Some(profile), "b").time(Pass::Rest, 0, pause);
        }
        let layers = Layers::new(&[step("a", Part::Stem), step("b", Part::Head)], &profiles, 10.0);
        let Cost { ms, share, macs, gflops, fma_peak_fraction } = layers.layers[0].cost;
        assert!((2.0..30.0).contains(&ms) && (0.0..1.0).contains(&share), "{ms} {share}");
        assert_eq!((macs, layers.all.macs, layers.parts.len()), (1_000_000, 1_000_000, 2));
        assert!((gflops - 2.0 / ms).abs() < 1e-9 && (fma_peak_fraction - gflops / 10.0).abs() < 1e-12, "{gflops}");
        let table = layers.table();
        assert!(table.contains("64→128 1x1 at 56x56   plain  ") && table.contains("\nall            2  "), "{table}");
    }
}
