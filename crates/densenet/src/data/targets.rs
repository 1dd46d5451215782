//! What pictures show: classes or labels.

use ndarray::Array2;

/// What the pictures of a part show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// One class per picture, an index into the names.
    Classes(Vec<usize>),
    /// Any number of labels per picture, `(N, labels)` row-major: whether it has the label, `None` if not known.
    Labels(Vec<Option<bool>>),
}

impl Targets {
    /// Checks that they are targets of `pictures` pictures, at least one, with `names` names; the error says why not.
    pub(super) fn check(&self, pictures: usize, names: usize) -> Result<(), String> {
        let count = match self {
            Self::Classes(classes) => classes.len(),
            Self::Labels(labels) if names == 0 || !labels.len().is_multiple_of(names) => {
                return Err(format!("{} labels are not a whole number of rows of {names}", labels.len()));
            }
            Self::Labels(labels) => labels.len() / names,
        };
        if count != pictures {
            return Err(format!("{pictures} pictures but {count} labels; each picture needs one"));
        }
        if count == 0 {
            return Err("no pictures; a data set needs at least one".into());
        }
        let Self::Classes(classes) = self else { return Ok(()) };
        match classes.iter().enumerate().find(|&(_, &class)| class >= names) {
            Some((i, label)) => {
                Err(format!("label {label} of picture {i} is out of range; {names} classes count from 0"))
            }
            None => Ok(()),
        }
    }

    /// Whether a picture shows the class or has the label `name`, out of `names` names per picture; `None` if not
    /// known.
    ///
    /// # Panics
    /// If there is no such picture.
    pub fn shows(&self, picture: usize, name: usize, names: usize) -> Option<bool> {
        match self {
            Self::Classes(classes) => Some(classes[picture] == name),
            Self::Labels(labels) => labels[picture * names + name],
        }
    }

    /// The targets of the pictures `indices`, with `names` names per picture.
    pub(crate) fn select(&self, indices: &[usize], names: usize) -> Self {
        match self {
            Self::Classes(classes) => Self::Classes(indices.iter().map(|&i| classes[i]).collect()),
            Self::Labels(labels) => {
                Self::Labels(indices.iter().flat_map(|&i| &labels[i * names..][..names]).copied().collect())
            }
        }
    }
    /// The loss's targets for the pictures `indices`, `(N, names)`: 1 for their class or labels, else 0, NaN where not
    /// known.
    pub(crate) fn dense(&self, indices: &[usize], names: usize) -> Array2<f32> {
        Array2::from_shape_fn((indices.len(), names), |(row, name)| match self {
            Self::Classes(classes) => f32::from(u8::from(classes[indices[row]] == name)),
            Self::Labels(labels) => {
                labels[indices[row] * names + name].map_or(f32::NAN, |has| f32::from(u8::from(has)))
            }
        })
    }

    /// The targets of several parts, one after the other; all have the kind of the first.
    pub(super) fn joined<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        parts
            .cloned()
            .reduce(|all, part| match (all, part) {
                (Self::Classes(all), Self::Classes(part)) => Self::Classes([all, part].concat()),
                (Self::Labels(all), Self::Labels(part)) => Self::Labels([all, part].concat()),
                (all, _) => all,
            })
            .unwrap_or(Self::Classes(Vec::new()))
    }
}
