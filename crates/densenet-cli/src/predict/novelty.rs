//! How far an input is from the training pictures, in words and in JSON.

use std::fmt::{self, Display, Formatter};

use densenet::novelty::{Distances, Reference};
use serde_json::{Value, json};

/// How far an input is from the training pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Novelty {
    distances: Distances,
    /// In units of what 99 % of held-out pictures stay within.
    relative: f64,
    unlike: bool,
}

impl Novelty {
    /// What a table has of it.
    pub const COLUMNS: [&str; 2] = ["distance", "unlike"];

    /// What `distances` mean for a network with this `reference`.
    pub fn of(reference: &Reference, distances: &[Distances]) -> Vec<Self> {
        let of = |distances: &Distances| Self {
            distances: *distances,
            relative: reference.relative(distances),
            unlike: reference.is_unlike(distances),
        };
        distances.iter().map(of).collect()
    }

    /// Its fields in a table.
    pub fn fields(&self) -> [String; 2] {
        [(self.relative as f32).to_string(), self.unlike.to_string()]
    }

    /// Adds it to a JSON object.
    pub fn add_to(&self, object: &mut Value) {
        let Distances { mahalanobis, neighbour } = self.distances;
        object["distance"] = json!(self.relative);
        object["distances"] = json!({ "neighbour": neighbour, "mahalanobis": mahalanobis });
        object["unlike"] = json!(self.unlike);
    }
}

impl Display for Novelty {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "distance {:.2}{}", self.relative, if self.unlike { ", unlike the training pictures" } else { "" })
    }
}
