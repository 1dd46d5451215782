//! Pictures with their labels and what they are taken for.

use maud::{Markup, html};

use super::evaluated::Mistake;
use super::figures::percent;

/// Pictures of one kind that are shown.
const MOST: usize = 24;

/// A grid of the first mistakes.
pub fn pictures(mistakes: &[Mistake]) -> Markup {
    html! { div class="pictures" { @for mistake in mistakes.iter().take(MOST) { (picture(mistake)) } } }
}

fn picture(mistake: &Mistake) -> Markup {
    let Mistake { path, truth, predicted, probability, thumbnail } = mistake;
    html! {
        figure title=(path) {
            @match thumbnail {
                Some(jpeg) => img src={ "data:image/jpeg;base64," (jpeg) } alt={ "Picture " (path) };
                None => div class="missing" { "no picture" }
            }
            figcaption {
                span { "taken for " b { (predicted) } ", " (percent(*probability)) }
                span { "labelled " b { (truth) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_texts_are_escaped() {
        let evil = "\"><script>alert(1)</script>".to_string();
        let mistake = Mistake {
            path: evil.clone(),
            truth: evil.clone(),
            predicted: evil.clone(),
            thumbnail: Some(evil),
            probability: f64::NAN,
        };
        let html = pictures(&vec![mistake; 100]).into_string();
        assert!(!html.contains("<script") && html.contains("&quot;&gt;&lt;script&gt;"), "{html}");
        assert_eq!(html.matches("<figure").count(), MOST);
    }
}
