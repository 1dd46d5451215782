//! Values in columns of 0 and 1.

use super::TableOptions;

/// The possible values of such a column, for messages.
pub(super) const VALUES: &str = "a label is 1 or 0, -1 if uncertain, blank if not known";

/// A value in a column of 0 and 1.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Known {
    Yes,
    No,
    /// -1.
    Uncertain,
    /// An empty value, or `nan`.
    Blank,
}

impl Known {
    /// The value of a text, if it is valid.
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "" => Some(Self::Blank),
            _ => match text.parse::<f64>().ok()? {
                1.0 => Some(Self::Yes),
                0.0 => Some(Self::No),
                -1.0 => Some(Self::Uncertain),
                number => number.is_nan().then_some(Self::Blank),
            },
        }
    }

    /// Whether the picture has the label.
    pub fn meaning(self, options: &TableOptions) -> Option<bool> {
        match self {
            Self::Yes => Some(true),
            Self::No => Some(false),
            Self::Uncertain => options.uncertain.known(),
            Self::Blank => options.blank.known(),
        }
    }
}
