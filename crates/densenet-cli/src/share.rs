//! Shares, as the command line takes them.

/// A share as a number, or in per cent.
///
/// # Errors
/// A text that is neither.
pub fn share(text: &str) -> Result<f64, String> {
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse().map(|percent: f64| percent / 100.0),
        None => text.parse(),
    };
    number.map_err(|_| "a share is a number such as 0.01, or a percentage such as 1%".into())
}
