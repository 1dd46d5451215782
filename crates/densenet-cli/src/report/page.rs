//! The page: one HTML file with its style and script, which loads nothing.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Seconds after which a browser reloads the page of a run in progress.
const REFRESH: u32 = 30;

/// Nothing is loaded and nothing is sent, whatever might get into the page.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// A page of `body`; browsers reload it now and then while it is `under_way`.
pub fn page(title: &str, under_way: bool, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="color-scheme" content="light dark";
                @if under_way { meta http-equiv="refresh" content=(REFRESH); }
                title { (title) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                main { (body) }
                footer { "densenet " (env!("CARGO_PKG_VERSION")) }
                script { (PreEscaped(include_str!("script.js"))) }
            }
        }
    };
    page.into_string()
}

/// A section under its heading; nothing where it has no content.
pub fn section(heading: &str, content: &Markup) -> Markup {
    html! { @if !content.0.is_empty() { section { h2 { (heading) } (content) } } }
}

/// A headline figure: what it is, the figure, and what there is to say about it.
pub fn tile(name: &str, figure: &str, note: &str) -> Markup {
    html! { div class="tile" { span { (name) } strong { (figure) } small { (note) } } }
}
