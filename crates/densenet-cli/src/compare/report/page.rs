//! The page of a comparison.

use maud::{Markup, html};

use super::Report;
use super::answer::{Answer, Comparison, Row, Unit};
use super::claims::Verdict;
use super::pairs::augmentation;
use crate::compare::results::RunResult;
use crate::output::{count, counted};
use crate::report::figures::{capitalised, duration, percent, short};
use crate::report::machine;
use crate::report::page::{page, section, tile};

/// Rows up to which a table is shown open.
const FEW: usize = 6;

impl Report<'_> {
    /// The page.
    pub fn page(&self) -> String {
        let title = format!("The article's claims on {}", self.data);
        let under_way = self.runs.len() < self.runs_planned;
        let diverged: Vec<&RunResult> = self.runs.iter().filter(|run| run.diverged.is_some()).collect();
        let body = html! {
            header {
                h1 { (title) }
                p {
                    "Dense, residual and plain networks with the same layers, trained and compared by densenet compare"
                }
            }
            @if under_way {
                p class="notice" role="status" {
                    strong { "Under way: " } (count(self.runs.len() as u64)) " of " (counted(self.runs_planned, "run"))
                    " done. What follows covers only these."
                }
            }
            @if !diverged.is_empty() { (told(&diverged)) }
            div class="tiles" { (self.tiles()) }
            (section("What these runs say", &self.overview()))
            @for answer in &self.claims { (section(answer.heading, &answered(answer))) }
            (section("How a claim is decided", &method()))
            (section("All runs", &all(self.runs)))
            (section("Plan", &html! { pre tabindex="0" { (self.plan) } }))
            (section("Machine and time", &html! {
                dl { (machine::facts(self.machine)) dt { "Time of all runs" } dd { (duration(self.seconds)) } }
            }))
        };
        page(&title, false, &body)
    }

    fn tiles(&self) -> Markup {
        let verdicts = |verdict| self.claims.iter().filter(|answer| answer.verdict == verdict).count().to_string();
        let of = format!("of {}", counted(self.claims.len(), "claim"));
        html! {
            @for verdict in [Verdict::Held, Verdict::NotHeld, Verdict::NotDecided] {
                (tile(&capitalised(verdict.in_words()), &verdicts(verdict), &of))
            }
            (tile("Runs", &count(self.runs.len() as u64), &format!("of {}", count(self.runs_planned as u64))))
            (tile("Time", &duration(self.seconds), "of all runs"))
        }
    }

    fn overview(&self) -> Markup {
        html! {
            table class="claims" {
                thead { tr { th scope="col" { "Claim" } th scope="col" { "By these runs" } } }
                tbody {
                    @for answer in &self.claims {
                        tr { td { (answer.claim) } td { (badge(answer.verdict)) } }
                    }
                }
            }
            p {
                "That layers reuse the features of earlier layers shows in the weights of a single network: "
                code { "densenet reuse --weights W" } " (docs/reuse.md)."
            }
        }
    }
}

/// Which runs diverged, and how that showed.
fn told(diverged: &[&RunResult]) -> Markup {
    html! {
        details class="notice" {
            summary {
                strong { (counted(diverged.len(), "run")) " diverged." }
                " They are left out of all charts, and claims that need one of them are not decided."
            }
            ul { @for run in diverged { li { (run.id) ": " (run.diverged.as_deref().unwrap_or_default()) } } }
        }
    }
}

fn badge(verdict: Verdict) -> Markup {
    let class = match verdict {
        Verdict::Held => "verdict held",
        Verdict::NotHeld => "verdict refuted",
        Verdict::NotDecided => "verdict",
    };
    html! { span class=(class) { (capitalised(verdict.in_words())) } }
}

/// A claim, the verdict of the runs, and what that is based on.
fn answered(answer: &Answer) -> Markup {
    html! {
        p { (answer.claim) " (Paper: " (answer.paper) ".)" }
        p class="answer" { (badge(answer.verdict)) }
        ul class="answer" { @for comparison in &answer.comparisons { li { (comparison.in_words()) } } }
        div class="charts" { @for chart in &answer.charts { (chart.clone().draw()) } }
        @for comparison in answer.comparisons.iter().filter(|comparison| !comparison.rows.is_empty()) {
            details open[answer.charts.is_empty() && comparison.rows.len() <= FEW] {
                @let [first, second] = comparison.kinds;
                summary { (capitalised(comparison.of)) ", " (first) " and " (second) ", by setting" }
                (settings(comparison))
            }
        }
    }
}

fn settings(comparison: &Comparison) -> Markup {
    let [first, second] = comparison.kinds.map(capitalised);
    let difference = match comparison.unit.name().trim() {
        "" => "Difference".into(),
        unit => format!("Difference ({unit})"),
    };
    let columns =
        ["Setting", "Networks", &first, &second, &difference, "95 % interval", "Seeds", "Parameters", "Multiply-adds"];
    html! {
        div class="scroll" tabindex="0" {
            table class="words" {
                thead { tr { @for name in columns { th scope="col" { (name) } } } }
                tbody { @for row in &comparison.rows { (setting(row, comparison.unit)) } }
            }
        }
    }
}

fn setting(row: &Row, unit: Unit) -> Markup {
    let none = || "–".to_string();
    let difference = row.difference.as_ref();
    let both = |numbers: Option<[u64; 2]>| numbers.map_or_else(none, |both| both.map(count).join(" / "));
    html! {
        tr {
            th scope="row" { (row.setting) }
            td { (row.networks.as_ref().map_or_else(none, |names| names.join(" / "))) }
            @for value in &row.values { td { (unit.value(value)) } }
            td { (difference.map_or_else(none, |difference| unit.number(difference.mean))) }
            td { (difference.and_then(|difference| difference.interval).map_or_else(none, |ends| unit.interval(ends))) }
            td { (difference.map_or(0, |difference| difference.seeds)) }
            td { (both(row.parameters)) }
            td { (both(row.macs)) }
        }
    }
}

fn method() -> Markup {
    html! {
        p {
            "Networks are compared seed by seed: both runs of a pair have the same experiment, the same training \
             pictures, the same augmentation and the same seed. The interval of the mean difference combines \
             Student's t over the seeds with, for accuracies, the error that other test pictures would cause; the \
             latter is measured by how much more often one network than the other is right about each picture. The \
             two are added as squares. A claim is held if the intervals of all its comparisons lie on the claimed \
             side, not held if one lies on the other side, and otherwise not decided, for example if a run that it \
             needs diverged. The mean is over the settings that have all seeds. Where a claim speaks of a small \
             difference, 1 point is the border. Charts show means over seeds; bars and bands are one standard \
             deviation. Every network was tested once, after its last step."
        }
    }
}

const COLUMNS: [&str; 15] = [
    "Experiment",
    "Network",
    "Pictures",
    "Augmentation",
    "Seed",
    "Test accuracy",
    "Test loss",
    "Training loss",
    "Epochs",
    "Steps",
    "L",
    "k",
    "Parameters",
    "Multiply-adds",
    "Time",
];

fn all(runs: &[RunResult]) -> Markup {
    html! {
        @if runs.is_empty() { p { "No run is done yet." } } @else {
            div class="scroll" tabindex="0" {
                table class="words" {
                    thead { tr { @for name in COLUMNS { th scope="col" { (name) } } } }
                    tbody { @for run in runs { (of_run(run)) } }
                }
            }
        }
    }
}

fn of_run(run: &RunResult) -> Markup {
    html! {
        tr {
            th scope="row" { (run.experiment) }
            td { (run.network) }
            td { (count(run.images as u64)) }
            td { (augmentation(&run.augment)) }
            td { (run.seed) }
            td { @if run.diverged.is_some() { "diverged" } @else { (percent(run.test_top1)) } }
            @for loss in [run.test_loss, run.train_loss] {
                td { @if loss.is_finite() { (format!("{loss:.4}")) } @else { "–" } }
            }
            td { (short(run.epochs)) }
            td { (count(run.steps)) }
            @for number in [run.depth, run.growth_rate] { td { (number) } }
            @for number in [run.parameters, run.macs] { td { (count(number)) } }
            td { (duration(run.seconds)) }
        }
    }
}
