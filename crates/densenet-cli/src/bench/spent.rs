//! Where the time of what is timed goes: a profile as a table and as JSON.

use densenet::profile::{Pass, Profile, Row};
use serde::Serialize;

use crate::output;

/// What one kind of work at one stage takes of a run; the fields of `--json`.
#[derive(Debug, Serialize)]
pub struct Spent {
    stage: String,
    pass: Pass,
    ms: f64,
    /// Of the multiply-adds that direct convolutions take; 0 where there are none.
    gflops: f64,
    fma_peak_fraction: f64,
}

/// The kinds of work as the table's columns name them.
const COLUMNS: [(Pass, &str); 6] = [
    (Pass::Forward, "forward"),
    (Pass::Recompute, "recomputed"),
    (Pass::DataGradient, "dgrad"),
    (Pass::WeightGradient, "wgrad"),
    (Pass::Gradients, "both"),
    (Pass::Rest, "rest"),
];

impl Spent {
    /// The rows of `profile` over that many `runs`, against a processor with a peak of `peak` GFLOP/s.
    pub fn of(profile: &Profile, runs: usize, peak: f64) -> Vec<Self> {
        let spent = |row: Row| {
            let seconds = row.time.as_secs_f64();
            let gflops = if row.macs == 0 { 0.0 } else { 2.0 * row.macs as f64 / seconds / 1e9 };
            let (ms, fma_peak_fraction) = (1e3 * seconds / runs as f64, gflops / peak);
            Self { stage: row.stage, pass: row.pass, ms, gflops, fma_peak_fraction }
        };
        profile.rows().into_iter().map(spent).collect()
    }

    /// Floating-point operations, in millions.
    fn mflop(&self) -> f64 {
        self.gflops * self.ms
    }
}

/// A row per stage, a group of columns per kind of work: milliseconds, GFLOP/s, and per cent of `peak` GFLOP/s.
pub fn table(spent: &[Spent], peak: f64) -> String {
    let kinds: Vec<_> = COLUMNS.iter().filter(|(pass, _)| spent.iter().any(|one| one.pass == *pass)).collect();
    let mut header = vec![String::new()];
    for (pass, name) in &kinds {
        header.push(format!("{name} ms"));
        header.extend(has_rate(*pass).then_some(["GFLOP/s", "% peak"]).into_iter().flatten().map(String::from));
    }
    header.push("all ms".into());
    let mut stages: Vec<&str> = Vec::new();
    spent.iter().for_each(|one| {
        if !stages.contains(&one.stage.as_str()) {
            stages.push(&one.stage);
        }
    });
    let line = |name: &str, chosen: Vec<&Spent>| {
        let mut cells = vec![name.to_string()];
        kinds.iter().for_each(|(pass, _)| cells.extend(group(*pass, &chosen, peak)));
        cells.push(milliseconds(chosen.iter().map(|one| one.ms).sum()));
        cells
    };
    let rows = stages.iter().map(|stage| line(stage, spent.iter().filter(|one| one.stage == *stage).collect()));
    let all = line("all", spent.iter().collect());
    output::table(&[vec![header], rows.collect(), vec![all]].concat())
}

/// Whether a kind of work consists of multiply-adds.
fn has_rate(pass: Pass) -> bool {
    pass != Pass::Rest
}

/// One kind of work's cells of a row.
fn group(pass: Pass, row: &[&Spent], peak: f64) -> Vec<String> {
    let chosen: Vec<_> = row.iter().filter(|one| one.pass == pass).collect();
    let (ms, mflop): (f64, f64) = chosen.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.ms, sum.1 + one.mflop()));
    if !has_rate(pass) {
        return vec![milliseconds(ms)];
    }
    if mflop == 0.0 {
        return vec![String::new(); 3];
    }
    let gflops = mflop / ms;
    vec![milliseconds(ms), format!("{gflops:.0}"), format!("{:.0}", 100.0 * gflops / peak)]
}

fn milliseconds(ms: f64) -> String {
    if ms == 0.0 { String::new() } else { format!("{ms:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_rows_and_kinds_of_work_columns() {
        let one = |stage: &str, pass, ms, gflops: f64| Spent {
            stage: stage.into(),
            pass,
            ms,
            gflops,
            fma_peak_fraction: gflops / 200.0,
        };
        let spent = [
            one("stem", Pass::Forward, 1.0, 100.0),
            one("stem", Pass::Rest, 0.5, 0.0),
            one("block 1", Pass::Forward, 3.0, 20.0),
            one("block 1", Pass::WeightGradient, 2.0, 50.0),
        ];
        let expected = "         forward ms  GFLOP/s  % peak  wgrad ms  GFLOP/s  % peak  rest ms  all ms\n\
                        stem           1.00      100      50                                0.50    1.50\n\
                        block 1        3.00       20      10      2.00       50      25             5.00\n\
                        all            4.00       40      20      2.00       50      25     0.50    6.50\n";
        assert_eq!(table(&spent, 200.0), expected);
    }
}
