//! Figures formatted for people.

/// Between a number and its unit, where a line must not break.
const SPACE: char = '\u{a0}';

/// A share as `95.42 %`.
pub fn percent(share: f64) -> String {
    format!("{:.2}{SPACE}%", 100.0 * share)
}

/// An interval of shares as `95.01 to 95.83 %`.
pub fn percents([low, high]: [f64; 2]) -> String {
    format!("{:.2} to {:.2}{SPACE}%", 100.0 * low, 100.0 * high)
}

/// A time as `2 h 05 min`, `3 min 07 s` or `12.5 s`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Five significant digits: `0.012346`, `3.1416`, `1.2346e-7`.
pub fn short(value: f64) -> String {
    if value == 0.0 || (1e-4..1e6).contains(&value.abs()) {
        let digits = (4 - value.abs().max(1e-9).log10().floor() as i32).clamp(0, 8) as usize;
        let text = format!("{value:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
    } else {
        format!("{value:.4e}")
    }
}

/// A word with its first letter capitalised.
pub fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The mean, and the standard deviation with n - 1; none for fewer than two values.
pub fn mean_and_deviation(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((mean, (squares / (values.len() - 1) as f64).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_by_hand() {
        assert_eq!((percent(0.95416), percents([0.9, 1.0])), ("95.42\u{a0}%".into(), "90.00 to 100.00\u{a0}%".into()));
        assert_eq!([0.04, 59.97, 187.4, 7_500.0].map(duration), ["0.0 s", "1 min 00 s", "3 min 07 s", "2 h 05 min"]);
        let shortened = [0.0, 0.1, 0.012_345_6, -4.141_592_6, 1.234_56e-7, 12_345.6, 2e9].map(short);
        assert_eq!(shortened, ["0", "0.1", "0.012346", "-4.1416", "1.2346e-7", "12346", "2.0000e9"]);
        assert_eq!(mean_and_deviation(&[1.0, 3.0]), Some((2.0, 2f64.sqrt())));
        assert_eq!(mean_and_deviation(&[1.0]), None);
    }
}
