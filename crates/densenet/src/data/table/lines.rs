//! Line numbers for any line endings.

use csv::Position;

/// CSV text whose lines are counted while it is read.
///
/// The reader's own numbers are of little use: it counts line feeds only, and counts those before a record only after
/// reading the record.
pub(super) struct Lines<'a> {
    text: &'a [u8],
    /// Number of bytes already counted.
    counted: usize,
    /// The line after these, from 1.
    line: u64,
}

impl<'a> Lines<'a> {
    /// The lines of `text`, with none counted yet.
    pub fn of(text: &'a [u8]) -> Self {
        Self { text, counted: 0, line: 1 }
    }

    /// The line where a record begins, from 1; records must be queried in order.
    pub fn number(&mut self, record: Option<&Position>) -> u64 {
        let text = self.text;
        let from = record.map_or(self.counted, |position| position.byte() as usize).max(self.counted);
        let begin = from + text[from..].iter().take_while(|&&byte| byte == b'\r' || byte == b'\n').count();
        let ends_line = |&place: &usize| match text[place] {
            b'\n' => true,
            // If a line feed follows, that is what ends the line.
            b'\r' => text.get(place + 1) != Some(&b'\n'),
            _ => false,
        };
        self.line += (self.counted..begin).filter(ends_line).count() as u64;
        self.counted = begin;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use csv::ReaderBuilder;

    use super::*;

    /// The line of each record, starting with the header.
    fn lines(text: &str) -> Vec<u64> {
        let mut lines = Lines::of(text.as_bytes());
        let reader = ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        reader.into_records().map(|record| lines.number(record.unwrap().position())).collect()
    }

    #[test]
    fn lines_are_counted_as_people_count_them() {
        for (end, blank) in [("\n", "\n\n\n"), ("\r\n", "\r\n\r\n\r\n"), ("\r", "\r\r\r")] {
            assert_eq!(lines(&["a,b", "1,2", "3,4", ""].join(end)), [1, 2, 3], "{end:?}");
            assert_eq!(lines(&["\u{feff}a,b", "1,2", "3,4"].join(blank)), [1, 4, 7], "{blank:?}");
            assert_eq!(lines(&["a,b", "1,\"2", "3\"", "4,5"].join(end)), [1, 2, 4], "{end:?}");
        }
    }
}
