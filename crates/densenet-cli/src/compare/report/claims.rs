//! The article's claims: what each says, where, which runs decide it, and on which side of what it is held.

use densenet::config::Joining;
use serde::Serialize;

use super::charts;
use super::contrast::Contrast;
use super::folder::Folder;
use super::gradients;
use crate::compare::plan::Match;
use crate::report::chart::Chart;

/// Most pictures that count as little data.
pub const LITTLE: usize = 2_000;

/// What counts as a small difference in accuracy: one point.
const POINT: f64 = 0.01;

/// A claim, held where all its comparisons are.
pub struct Claim {
    /// A name for programs.
    pub id: &'static str,
    /// A name for people.
    pub heading: &'static str,
    /// What is claimed, in our words.
    pub text: &'static str,
    /// Where in the paper.
    pub paper: &'static str,
    /// What decides it.
    pub tests: &'static [Test],
    /// Charts of what it is about.
    pub charts: fn(&Folder) -> Vec<Chart<'static>>,
}

/// A difference between two kinds of networks, and what is claimed of it.
pub struct Test {
    /// The kinds.
    pub contrast: Contrast,
    /// What differs.
    pub measure: Measure,
    /// The experiments that count; none for all.
    pub matched: Option<Match>,
    /// Where the difference is claimed to be.
    pub claimed: Claimed,
}

/// What is compared between two networks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// Test accuracy.
    Accuracy,
    /// Test accuracy with at most [`LITTLE`] pictures, without augmentation.
    AccuracyOnLittleData,
    /// How much larger the difference of accuracy is there than with the most pictures of the same experiment.
    AdvantageOfLittleData,
    /// Test loss less training loss.
    Gap,
    /// Number of parameters.
    Parameters,
    /// Multiply-adds of one picture.
    Macs,
    /// How far the first layer's relative gradient moves, up or down, from the least to the greatest depth, before
    /// training; as a natural logarithm.
    GradientChange,
}

/// On which side of what a difference is claimed to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Claimed {
    /// Above it.
    Above(f64),
    /// Below it.
    Below(f64),
}

/// What runs say about a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// An interval lies on the other side.
    NotHeld,
    /// An interval lies on both sides, or there is none.
    NotDecided,
    /// All intervals lie on the claimed side.
    Held,
}

impl Claimed {
    /// Whether a difference with this 95 % `interval` is on the claimed side.
    pub fn judge(self, interval: Option<[f64; 2]>) -> Verdict {
        let Some([low, high]) = interval else { return Verdict::NotDecided };
        let (held, not_held) = match self {
            Self::Above(border) => (low > border, high < border),
            Self::Below(border) => (high < border, low > border),
        };
        match (held, not_held) {
            (true, _) => Verdict::Held,
            (_, true) => Verdict::NotHeld,
            _ => Verdict::NotDecided,
        }
    }
}

const RESIDUAL: Contrast = Contrast::Dense(Joining::Residual);
const PLAIN: Contrast = Contrast::Dense(Joining::Plain);

const fn test(contrast: Contrast, measure: Measure, matched: Option<Match>, claimed: Claimed) -> Test {
    Test { contrast, measure, matched, claimed }
}

/// The claims. That layers reuse features is left to `densenet reuse`.
pub const CLAIMS: [Claim; 8] = [
    Claim {
        id: "gradients",
        heading: "Gradients stay alive",
        text: "With more layers, the gradient of the first layer vanishes or explodes less in a dense network than in a \
               plain one.",
        paper: "abstract, section 1, and “Implicit Deep Supervision” in section 5",
        tests: &[test(PLAIN, Measure::GradientChange, None, Claimed::Below(0.0))],
        charts: gradients::gradients,
    },
    Claim {
        id: "little-data",
        heading: "Little data",
        text: "With at most 2,000 training pictures and no augmentation, a dense network is more accurate than a \
               residual or plain one, and by more than with all pictures.",
        paper: "section 1, and “Overfitting” in section 4.3",
        tests: &[
            test(RESIDUAL, Measure::AccuracyOnLittleData, None, Claimed::Above(0.0)),
            test(PLAIN, Measure::AccuracyOnLittleData, None, Claimed::Above(0.0)),
            test(RESIDUAL, Measure::AdvantageOfLittleData, None, Claimed::Above(0.0)),
            test(PLAIN, Measure::AdvantageOfLittleData, None, Claimed::Above(0.0)),
        ],
        charts: charts::accuracy_by_images,
    },
    Claim {
        id: "parameters",
        heading: "Few parameters",
        text: "With the same number of parameters, a dense network is more accurate than a residual or plain one.",
        paper: "“Parameter Efficiency” in section 4.3, and figure 4",
        tests: &[
            test(RESIDUAL, Measure::Accuracy, Some(Match::Parameters), Claimed::Above(0.0)),
            test(PLAIN, Measure::Accuracy, Some(Match::Parameters), Claimed::Above(0.0)),
        ],
        charts: charts::accuracy_by_parameters,
    },
    Claim {
        id: "arithmetic",
        heading: "Not little arithmetic",
        text: "A dense network saves parameters rather than arithmetic: with as many parameters it needs more \
               multiply-adds than a residual one, and with as many multiply-adds it is ahead by less than 1 point.",
        paper: "section 4.4 and figure 3 (right) claim otherwise: there a DenseNet also needs less arithmetic",
        tests: &[
            test(RESIDUAL, Measure::Macs, Some(Match::Parameters), Claimed::Above(0.0)),
            test(RESIDUAL, Measure::Accuracy, Some(Match::Macs), Claimed::Below(POINT)),
        ],
        charts: charts::accuracy_by_macs,
    },
    Claim {
        id: "pre-activation",
        heading: "Pre-activation",
        text: "A network with batch-norm and ReLU before each convolution is more accurate than with both after it.",
        paper: "“Composite function” in section 3, after He et al. 2016",
        tests: &[test(Contrast::Activation, Measure::Accuracy, None, Claimed::Above(0.0))],
        charts: charts::none,
    },
    Claim {
        id: "bottleneck",
        heading: "Bottleneck layers",
        text: "Bottleneck layers save parameters, and cost less than 1 point of accuracy.",
        paper: "“Bottleneck layers” in section 3, and table 2",
        tests: &[
            test(Contrast::Bottleneck, Measure::Parameters, Some(Match::Widths), Claimed::Below(0.0)),
            test(Contrast::Bottleneck, Measure::Accuracy, Some(Match::Widths), Claimed::Above(-POINT)),
        ],
        charts: charts::none,
    },
    Claim {
        id: "compression",
        heading: "Compression",
        text: "Transitions that drop channels save parameters, and cost less than 1 point of accuracy.",
        paper: "“Compression” in section 3, and figure 4 (left)",
        tests: &[
            test(Contrast::Compression, Measure::Parameters, Some(Match::Widths), Claimed::Below(0.0)),
            test(Contrast::Compression, Measure::Accuracy, Some(Match::Widths), Claimed::Above(-POINT)),
        ],
        charts: charts::none,
    },
    Claim {
        id: "overfitting",
        heading: "Less overfitting",
        text: "A dense network's test loss exceeds its training loss by less than a residual or plain network's does.",
        paper: "section 1, and “Overfitting” in section 4.3",
        tests: &[
            test(RESIDUAL, Measure::Gap, None, Claimed::Below(0.0)),
            test(PLAIN, Measure::Gap, None, Claimed::Below(0.0)),
        ],
        charts: charts::losses,
    },
];
