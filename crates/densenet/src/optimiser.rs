//! Optimisers, as PyTorch defines them.
//!
//! Each is one pass over the parameter arena, on all threads in pieces of fixed size. The only sum, the gradient's
//! norm, has a fixed order, too. So the bits are the same with any number of threads and every instruction set.

mod adamw;
mod average;
mod gradients;
mod rates;
mod sgd;

pub use adamw::AdamW;
pub use average::Average;
pub use gradients::{Gradients, norm};
pub use rates::Rates;
pub use sgd::Sgd;

use densenet_kernels::Real;
use serde::{Deserialize, Serialize};

/// Number of values in one piece of work over an arena.
pub(crate) const PIECE: usize = 1 << 14;

/// The optimisers, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// [`Sgd`].
    Sgd,
    /// [`AdamW`].
    AdamW,
}

/// Either optimiser.
#[derive(Clone, Debug, PartialEq)]
pub enum Optimiser<T> {
    /// Gradient descent with momentum.
    Sgd(Sgd<T>),
    /// Adam with decoupled weight decay.
    AdamW(AdamW<T>),
}

impl<T: Real> Optimiser<T> {
    /// Takes one step of `learning_rate` down `gradients`; all in the arena's order.
    pub fn step<'a>(
        &mut self,
        learning_rate: impl Into<Rates>,
        parameters: &mut [T],
        gradients: impl Into<Gradients<'a, T>>,
    ) {
        match self {
            Self::Sgd(sgd) => sgd.step(learning_rate, parameters, gradients),
            Self::AdamW(adamw) => adamw.step(learning_rate, parameters, gradients),
        }
    }
}
