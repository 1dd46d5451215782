//! What pictures show.

use ndarray::Array2;

/// What the pictures of a part show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// One class a picture, an index into the names.
    Classes(Vec<usize>),
    /// Any number of labels a picture, `(N, labels)` row-major: whether it has the label, none where that is not known.
    Labels(Vec<Option<bool>>),
}

impl Targets {
    /// Whether a picture shows the class or has the label `name`, where each picture has so many `names`; none where that is
    /// not known.
    ///
    /// # Panics
    /// When there is no such picture.
    pub fn shows(&self, picture: usize, name: usize, names: usize) -> Option<bool> {
        match self {
            Self::Classes(classes) => Some(classes[picture] == name),
            Self::Labels(labels) => labels[picture * names + name],
        }
    }

    /// The targets of the pictures `indices`, where each picture has so many names.
    pub(crate) fn select(&self, indices: &[usize], names: usize) -> Self {
        match self {
            Self::Classes(classes) => Self::Classes(indices.iter().map(|&i| classes[i]).collect()),
            Self::Labels(labels) => {
                Self::Labels(indices.iter().flat_map(|&i| &labels[i * names..][..names]).copied().collect())
            }
        }
    }

    /// What a loss takes of the pictures `indices`, `(N, names)`: 1 for their class or labels, else 0, NaN where that is not
    /// known.
    pub(crate) fn dense(&self, indices: &[usize], names: usize) -> Array2<f32> {
        Array2::from_shape_fn((indices.len(), names), |(row, name)| match self {
            Self::Classes(classes) => f32::from(u8::from(classes[indices[row]] == name)),
            Self::Labels(labels) => {
                labels[indices[row] * names + name].map_or(f32::NAN, |has| f32::from(u8::from(has)))
            }
        })
    }
}
