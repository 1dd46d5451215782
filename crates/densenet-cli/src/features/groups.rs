//! The folders that inputs lie in, each with a colour.

use super::embeddings::Source;
use crate::report::chart::Curve;

/// Colours of the page's style.
const COLOURS: usize = 8;

/// Inputs by the folder that they lie in.
pub struct Groups {
    /// The folders, in the order of their first inputs.
    pub names: Vec<String>,
    /// The folder of each input, an index into the names.
    pub of: Vec<usize>,
}

impl Groups {
    /// The folders of `sources`.
    pub fn new(sources: &[&Source]) -> Self {
        let mut groups = Self { names: Vec::new(), of: Vec::new() };
        for source in sources {
            let folder = source.path().parent().map(|folder| folder.display().to_string()).unwrap_or_default();
            let known = groups.names.iter().position(|name| *name == folder);
            groups.of.push(known.unwrap_or(groups.names.len()));
            if known.is_none() {
                groups.names.push(folder);
            }
        }
        groups
    }

    /// A colour for each group; of more than there are colours the last stands for all others.
    pub fn style(&self, group: usize) -> String {
        format!("c{}", group.min(COLOURS - 1))
    }

    /// The names with their colours, for a legend.
    pub fn curves(&self) -> Vec<Curve> {
        let name = |group: usize| match self.names.len().saturating_sub(group) {
            more if group == COLOURS - 1 && more > 1 => format!("{more} others"),
            _ if self.names[group].is_empty() => "here".into(),
            _ => self.names[group].clone(),
        };
        (0..self.names.len().min(COLOURS)).map(|group| Curve::new(name(group), self.style(group), Vec::new())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(count: usize) -> Vec<String> {
        let sources: Vec<Source> =
            (0..2 * count).map(|i| Source::Picture(format!("set/{}/{i}.png", i % count).into())).collect();
        let groups = Groups::new(&sources.iter().collect::<Vec<_>>());
        assert!((0..2 * count).all(|i| groups.of[i] == i % count));
        groups.curves().into_iter().map(|curve| curve.name).collect()
    }

    #[test]
    fn folders_beyond_the_colours_share_the_last() {
        assert_eq!(named(2), ["set/0", "set/1"]);
        assert_eq!((named(8).len(), named(8)[7].as_str()), (8, "set/7"));
        assert_eq!((named(30).len(), named(30)[7].as_str()), (8, "23 others"));
        let alone = [Source::Row("x.npy".into(), 3)];
        assert_eq!(Groups::new(&[&alone[0]]).curves()[0].name, "here");
    }
}
