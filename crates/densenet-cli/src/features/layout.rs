//! Where inputs are on a map.

use anyhow::Result;
use clap::ValueEnum;
use maud::{Markup, html};
use ndarray::ArrayView2;

use super::components::principal_plane;
use super::tsne::tsne;

/// How features are laid out on a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// The plane of the two principal components, in which the features differ most
    Pca,
    /// t-SNE, which keeps neighbours together and so shows clusters that no plane separates
    Tsne,
}

/// Places, and what they mean.
pub struct Layout {
    /// Of each input.
    pub places: Vec<[f64; 2]>,
    /// How to read the map.
    pub words: Markup,
}

impl Method {
    /// The layout of `values` `(N, values)`, all finite, N from 1.
    ///
    /// # Errors
    /// For t-SNE, too few inputs.
    pub fn layout(self, values: ArrayView2<'_, f32>) -> Result<Layout> {
        let plane = principal_plane(values);
        match self {
            Self::Pca => Ok(Layout { words: of_plane(plane.shares), places: plane.places }),
            Self::Tsne => {
                let (places, perplexity) = tsne(values, &plane)?;
                Ok(Layout { words: of_tsne(perplexity), places })
            }
        }
    }
}

fn of_plane(shares: [f64; 2]) -> Markup {
    html! {
        "The plane is that of the two principal components, in which the features differ most: " (percent(shares[0]))
        " of their variance is from left to right, " (percent(shares[1])) " from bottom to top. Inputs that are far \
         apart here differ; inputs that are near may still differ in what the plane does not show."
    }
}

fn of_tsne(perplexity: usize) -> Markup {
    html! {
        "The places come from t-SNE (perplexity " (perplexity) "), which keeps together features that point in similar \
         directions. Inputs that are near are similar; the distance between groups, their size and their density mean \
         nothing."
    }
}

fn percent(share: f64) -> String {
    format!("{:.0}\u{a0}%", 100.0 * share)
}
