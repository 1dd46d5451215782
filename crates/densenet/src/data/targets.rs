//! What pictures show.

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
}
