//! Pictures as SVG files that need nothing else, readable on light and dark pages.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use densenet::files::write_whole;
use maud::{Markup, PreEscaped, html};

use crate::output;

/// The style of text; every picture has its own background.
const STYLE: &str = "text{font-family:system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#1f2933}\
                     .title{font-size:20px;font-weight:600}.name{font-size:14px;font-weight:600}.quiet{fill:#52606d}\
                     .middle{text-anchor:middle}.end{text-anchor:end}";

/// A picture.
pub struct Svg<'a> {
    /// Width in units of the drawing.
    pub width: f64,
    /// Height in the same units.
    pub height: f64,
    /// What it shows, in a line.
    pub title: &'a str,
    /// Style rules besides those that all pictures share.
    pub style: &'static str,
    /// What is drawn on the background.
    pub body: Markup,
}

impl Svg<'_> {
    /// The file's content.
    pub fn draw(&self) -> String {
        let Self { width, height, title, style, body } = self;
        let svg = html! {
            svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) role="img" aria-label=(title)
                viewBox={ "0 0 " (width) " " (height) } font-size="12" {
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(style)) }
                rect width=(width) height=(height) rx="8" fill="#fff" {}
                (body)
            }
        };
        // Characters that XML forbids, though a file's name may have them.
        svg.into_string().replace(|c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'), "") + "\n"
    }

    /// Writes the file `path`, and says so.
    ///
    /// # Errors
    /// Whatever the file system reports.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_whole(path, |file| file.write_all(self.draw().as_bytes()))?;
        output::note(format_args!("wrote {}", path.display()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_hold_what_xml_may() {
        let body = html! { text { "a\u{1}<b>\n&\u{ffff}é" } };
        let svg = Svg { width: 30.0, height: 20.5, title: "\"t\"", style: ".c{fill:red}", body }.draw();
        assert!(svg.contains("<text>a&lt;b&gt;&amp;é</text>") && svg.contains("viewBox=\"0 0 30 20.5\""), "{svg}");
        assert!(svg.contains("aria-label=\"&quot;t&quot;\"") && svg.contains(".c{fill:red}</style>"), "{svg}");
    }
}
