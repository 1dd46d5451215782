//! The folders that inputs lie in, each with a mark on the map.

use super::embeddings::Source;

/// Colours of the page's style.
const COLOURS: usize = 8;

/// Marks: a disc of each colour, then a ring of each.
const MARKS: usize = 2 * COLOURS;

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

    /// The mark of a group, in classes of the page's style; if there are more groups than marks, the last stands for
    /// all others.
    pub fn mark(&self, group: usize) -> String {
        let mark = group.min(MARKS - 1);
        format!("{} c{}", if mark < COLOURS { "disc" } else { "ring" }, mark % COLOURS)
    }

    /// Each mark and what it stands for.
    pub fn legend(&self) -> Vec<(String, String)> {
        let name = |group: usize| match self.names.len() - group {
            more if group == MARKS - 1 && more > 1 => format!("{more} others"),
            _ if self.names[group].is_empty() => "here".into(),
            _ => self.names[group].clone(),
        };
        (0..self.names.len().min(MARKS)).map(|group| (self.mark(group), name(group))).collect()
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
        groups.legend().into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn folders_beyond_the_marks_share_the_last() {
        assert_eq!(named(2), ["set/0", "set/1"]);
        assert_eq!((named(16).len(), named(16)[15].as_str()), (16, "set/15"));
        assert_eq!((named(30).len(), named(30)[15].as_str()), (16, "15 others"));
        let alone = Groups::new(&[&Source::Row("x.npy".into(), 3)]);
        assert_eq!(alone.legend(), [("disc c0".into(), "here".into())]);
        assert_eq!([7, 8, 99].map(|group| alone.mark(group)), ["disc c7", "ring c0", "ring c7"]);
    }
}
