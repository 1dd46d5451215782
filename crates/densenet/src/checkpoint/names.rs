//! Names of tensors: their parts, and natural sorting.

use std::cmp::Ordering;

/// The parts of a name: the words between other characters, and the numbers on their own, e.g. `block`, `1`, `conv`,
/// `2` for `block1.conv_2`.
pub(super) fn parts(name: &str) -> Vec<&str> {
    let kind = |c: char| match c {
        _ if c.is_ascii_digit() => 1,
        _ if c.is_alphanumeric() => 2,
        _ => 0,
    };
    let mut parts = Vec::new();
    let mut start = 0;
    let mut before = 0;
    for (i, c) in name.char_indices().chain([(name.len(), '.')]) {
        if kind(c) != before {
            if before != 0 {
                parts.push(&name[start..i]);
            }
            (start, before) = (i, kind(c));
        }
    }
    parts
}

/// Compares by parts, numbers by their values: `layer2` comes before `layer10`.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let by_parts = parts(a).iter().zip(parts(b)).map(|(a, b)| by_value(a, b)).find(|order| order.is_ne());
    by_parts.unwrap_or_else(|| parts(a).len().cmp(&parts(b).len()).then_with(|| a.cmp(b)))
}

fn by_value(a: &str, b: &str) -> Ordering {
    let number = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
    if !number(a) || !number(b) {
        return a.cmp(b);
    }
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_words_and_numbers() {
        assert_eq!(parts("block1.conv_2/äb"), ["block", "1", "conv", "2", "äb"]);
        assert_eq!(parts(""), [""; 0]);
        assert_eq!(parts("..a"), ["a"]);
    }

    #[test]
    fn numbers_count_by_value() {
        let mut names = ["l10.b", "l9", "l9.a", "l010.a", "k", "l2"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["k", "l2", "l9", "l9.a", "l010.a", "l10.b"]);
    }
}
