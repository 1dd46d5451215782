//! Answers of the fast network: against the reference, in groups, and on several threads at once.

mod features;
mod made_up;
mod presets;
mod sharing;
mod steps;
