//! Text files that people write, in whatever editor.

use std::io;
use std::path::Path;

/// The text of `path` without the byte-order mark that some editors put before it.
///
/// # Errors
/// A file that cannot be read, or whose text is not UTF-8.
pub fn read(path: &Path) -> io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(text) => text.into(),
        None => text,
    })
}

/// The lines of `text`, whatever ends them, without blanks around them and without empty ones at the end.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.trim_end().lines().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_line_ends_of_any_editor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.txt");
        for text in ["cat\n great  ape \n\ndog\n", "\u{feff}cat\r\ngreat  ape\r\n\r\ndog\r\n\r\n \r\n"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(lines(&read(&path).unwrap()).collect::<Vec<_>>(), ["cat", "great  ape", "", "dog"], "{text:?}");
        }
        std::fs::write(&path, "\u{feff}").unwrap();
        assert_eq!(lines(&read(&path).unwrap()).count(), 0);
        std::fs::write(&path, [0xff, 0xfe, b'a', 0]).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
