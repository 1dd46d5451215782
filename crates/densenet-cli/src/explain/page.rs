//! The page of maps laid over pictures.

use anyhow::Result;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{Markup, html};

use super::colour::Scale;
use super::explainer::{Explained, Map};
use crate::output::counted;
use crate::report::figures::short;
use crate::report::page::{page, section};

/// Pixels across a picture on the page, at most.
const SIDE: usize = 512;

/// The page of all that was explained of the predictions of `weights`.
pub fn explanations(weights: &str, explained: &[Explained]) -> Result<String> {
    let sections = explained.iter().map(|one| Ok(section(&one.input, &maps(one)?))).collect::<Result<Vec<_>>>()?;
    let body = html! {
        header {
            h1 { "What speaks for the predictions" }
            p { (weights) " · " (counted(explained.len(), "picture")) }
        }
        (section("How to read the maps", &legend(explained)))
        @for section in sections { (section) }
    };
    Ok(page("What speaks for the predictions", false, &body))
}

/// What colours mean, and what the methods that were used show.
fn legend(explained: &[Explained]) -> Markup {
    let used = |method| explained.iter().any(|one| one.maps.iter().any(|map| map.method == method));
    html! {
        p {
            @if let Some(against) = &explained[0].against {
                "Orange places speak for " b { (explained[0].class) } ", purple ones for " b { (against) } ". "
            } @else {
                "Yellow places speak for the class the most, violet ones the least or against it. "
            }
            "Each map has its own scale. Point at a map to see the picture below it."
        }
        @if used("activation") {
            p {
                "A " b { "class activation map" } " shows what each place of the network's last maps adds to the \
                 logit. Its mean and the class's bias are the logit, so nothing is left out. It is as coarse as the \
                 last maps are, and each of its places depends on more of the picture than what lies below it."
            }
        }
        @if used("occlusion") {
            p {
                b { "Occlusion" } " covers a square of the picture with the mean colour and asks the network again: a \
                 pixel has the mean drop of the probability under all squares that cover it."
            }
        }
    }
}

fn maps(explained: &Explained) -> Result<Markup> {
    let picture = data_uri("image/jpeg", &explained.picture.thumbnail(SIDE)?);
    let overlays = explained.maps.iter().map(|map| overlay(map, &picture, explained)).collect::<Result<Vec<_>>>()?;
    Ok(html! {
        p { "The network predicts " b { (explained.prediction) } "; explained is " b { (explained.target()) } "." }
        div class="maps" {
            figure {
                div class="overlay" { img src=(picture) alt={ "Picture " (explained.input) }; }
                figcaption { b { "What the network sees" } }
            }
            @for overlay in overlays { (overlay) }
        }
    })
}

/// A map over its picture, above its scale.
fn overlay(map: &Map, picture: &str, explained: &Explained) -> Result<Markup> {
    let scale =
        if explained.against.is_some() { Scale::diverging(&map.values) } else { Scale::sequential(&map.values) };
    let drawn = data_uri("image/png", &scale.png(&map.values)?);
    let file = map.file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let [low, high] = [scale.low, scale.high].map(|end| short(end.into()));
    Ok(html! {
        figure {
            div class="overlay" tabindex="0" {
                img src=(picture) alt="";
                img src=(drawn) alt={ (map.title) " of " (explained.input) " for " (explained.target()) };
            }
            div class="scale" style={ "background: " (scale.css()) } {}
            div class="ends" { span { (low) } span { (map.unit) } span { (high) } }
            figcaption { b { (map.title) } span { (map.note) } code { (file) } }
        }
    })
}

fn data_uri(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", BASE64_STANDARD.encode(bytes))
}
