//! Predictions of the fast network: against the reference, in groups, and on several threads at once.

#[path = "../common/bounds.rs"]
mod bounds;
#[path = "../common/distance.rs"]
mod distance;
mod features;
#[path = "../common/kinds.rs"]
mod kinds;
mod made_up;
mod presets;
#[path = "../common/sets.rs"]
mod sets;
mod sharing;
mod steps;
