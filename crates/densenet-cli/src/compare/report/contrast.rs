//! Kinds of networks that differ in one thing only.

use densenet::config::{Activation, Joining};

use crate::compare::results::RunResult;

/// Two kinds of networks that differ in one thing only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Contrast {
    /// Dense, and joined otherwise.
    Dense(Joining),
    /// Pre-activation, and post-activation.
    Activation,
    /// With a bottleneck, and without.
    Bottleneck,
    /// With transitions that compress, and without.
    Compression,
}

impl Contrast {
    /// Whether `run` is of the first kind; whether it is of the second.
    pub fn kinds(self, run: &RunResult) -> [bool; 2] {
        match self {
            Self::Dense(other) => [run.joining == Joining::Dense, run.joining == other],
            Self::Activation => [Activation::Pre, Activation::Post].map(|kind| run.activation == kind),
            Self::Bottleneck => [run.bottleneck, !run.bottleneck],
            Self::Compression => [run.compression < 1.0, run.compression == 1.0],
        }
    }

    /// Whether two runs are alike in everything else that a contrast may be about. Networks that are joined differently
    /// may have different layers, as they have different numbers of channels.
    pub fn alike(self, a: &RunResult, b: &RunResult) -> bool {
        let joining = matches!(self, Self::Dense(_)) || a.joining == b.joining;
        let activation = self == Self::Activation || a.activation == b.activation;
        let bottleneck = matches!(self, Self::Bottleneck | Self::Dense(_)) || a.bottleneck == b.bottleneck;
        let compression = matches!(self, Self::Compression | Self::Dense(_)) || a.compression == b.compression;
        joining && activation && bottleneck && compression
    }

    /// The two ways of joining layers, where these are what differs.
    pub fn joinings(self) -> Option<[Joining; 2]> {
        if let Self::Dense(other) = self { Some([Joining::Dense, other]) } else { None }
    }

    /// The kinds by name.
    pub fn names(self) -> [&'static str; 2] {
        match self {
            Self::Dense(Joining::Plain) => ["dense", "plain"],
            Self::Dense(_) => ["dense", "residual"],
            Self::Activation => ["pre-activation", "post-activation"],
            Self::Bottleneck => ["with bottleneck", "without"],
            Self::Compression => ["with compression", "without"],
        }
    }
}
