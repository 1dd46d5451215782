//! Pictures drawn in a terminal, two pixels to a character.

use std::io::IsTerminal;

use anyhow::Result;
use densenet::data::{Picture, Preprocessing};

/// Columns, and pixels across, of a drawing.
pub const WIDTH: usize = 28;

/// What the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Palette {
    /// 24-bit colours.
    True,
    /// The 24 greys of the 256 colours.
    Greys,
    /// Characters of more and less ink.
    Ink,
}

impl Palette {
    /// What stdout can show, by the usual environment variables.
    pub fn of_stdout() -> Self {
        let variable = |name| std::env::var(name).unwrap_or_default();
        if !std::io::stdout().is_terminal() || !variable("NO_COLOR").is_empty() || variable("TERM") == "dumb" {
            Self::Ink
        } else if ["truecolor", "24bit"].contains(&variable("COLORTERM").as_str()) {
            Self::True
        } else {
            Self::Greys
        }
    }
}

/// Lines of `WIDTH` columns that show `picture`, whatever its size and shape.
pub fn draw(picture: &Picture<'_>, palette: Palette) -> Result<Vec<String>> {
    let plain = Preprocessing::new(WIDTH, [0.0; 3], [1.0; 3]);
    let mut planes = vec![0.0; plain.elements()];
    plain.apply(picture, &mut planes)?;
    let pixel = |y: usize, x: usize| [0, 1, 2].map(|c| (255.0 * planes[(c * WIDTH + y) * WIDTH + x]).round() as u8);
    let line = |y: usize| {
        let cells: String = (0..WIDTH).map(|x| cell(pixel(y, x), pixel(y + 1, x), palette)).collect();
        if palette == Palette::Ink { cells } else { cells + "\x1b[0m" }
    };
    Ok((0..WIDTH).step_by(2).map(line).collect())
}

/// A character with one pixel above the other.
fn cell(upper: [u8; 3], lower: [u8; 3], palette: Palette) -> String {
    match palette {
        Palette::True => {
            let ([r, g, b], [s, h, c]) = (upper, lower);
            format!("\x1b[38;2;{r};{g};{b};48;2;{s};{h};{c}m▀")
        }
        Palette::Greys => format!("\x1b[38;5;{};48;5;{}m▀", 232 + grey(upper) * 24 / 256, 232 + grey(lower) * 24 / 256),
        Palette::Ink => {
            const RAMP: &[u8] = b" .:-=+*#%@";
            let ink = (grey(upper) + grey(lower)) * RAMP.len() / 512;
            char::from(RAMP[ink]).to_string()
        }
    }
}

fn grey([r, g, b]: [u8; 3]) -> usize {
    (299 * usize::from(r) + 587 * usize::from(g) + 114 * usize::from(b)) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_over_black_in_every_palette() {
        let pixels: Vec<u8> = (0..28 * 28).map(|i| if i / 28 % 2 == 0 { 255 } else { 0 }).collect();
        let picture = Picture::new(28, 28, 1, pixels).unwrap();
        let first = |palette| draw(&picture, palette).unwrap()[0].clone();
        assert!(first(Palette::True).starts_with("\x1b[38;2;255;255;255;48;2;0;0;0m▀"));
        assert!(first(Palette::Greys).starts_with("\x1b[38;5;255;48;5;232m▀"));
        assert_eq!(first(Palette::Ink), "=".repeat(28));
        assert_eq!(draw(&picture, Palette::Ink).unwrap().len(), 14);
    }
}
