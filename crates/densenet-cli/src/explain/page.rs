//! The page of maps laid over pictures.

use anyhow::Result;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{Markup, html};

use super::colour::{Colours, Scale};
use super::explainer::Explained;
use super::map::Map;
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
    let maps = || explained.iter().flat_map(|one| &one.maps);
    let used = |method| maps().any(|map| map.method == method);
    let coloured = |colours| maps().any(|map| map.colours == colours);
    html! {
        p {
            @if coloured(Colours::Sequential) {
                "Where a scale goes from violet to yellow, yellow places speak for the class the most, violet ones the \
                 least or against it. "
            }
            @if coloured(Colours::Diverging) || coloured(Colours::Clipped) {
                "Where it has white in its middle, for 0, orange places speak for the class, purple ones "
                @if let Some(against) = &explained[0].against { "for " b { (against) } ". " } @else { "against it. " }
            }
            @if coloured(Colours::Clipped) {
                "The scales of gradient maps end at a value that 2 % of the pixels exceed. "
            }
            "Each map has its own scale. Point at a map to see the picture below it."
        }
        @if used("cam") {
            p {
                "A " b { "class activation map" } " shows what each place of the network's last maps adds to the \
                 logit. Its mean and the class's bias are the logit, so nothing is left out. It is as coarse as the \
                 last maps are, and each of its places depends on more of the picture than what lies below it."
            }
        }
        @if used("grad-cam") {
            p {
                b { "Grad-CAM" } " adds up the maps of a block, each weighted by the mean of the logit's gradient with \
                 respect to it, and shows the part of the sum above 0. It shows where the network looks, not what a place \
                 adds to the logit."
            }
        }
        @if used("integrated-gradients") {
            p {
                b { "Integrated gradients" } " follow the logit from a picture of the mean colour to this one: what each \
                 pixel adds on the way. All pixels together add up to the difference of the logits."
            }
        }
        @if used("smooth-grad") {
            p {
                b { "SmoothGrad" } " shows how the logit changes when a pixel gets brighter, on average over noisy copies \
                 of the picture."
            }
        }
        @if used("occlusion") {
            p {
                b { "Occlusion" } " covers a square of the picture with the mean colour and asks the network again: a \
                 pixel shows the mean drop in probability over all squares that cover it."
            }
        }
    }
}

fn maps(explained: &Explained) -> Result<Markup> {
    let picture = data_uri("image/jpeg", &explained.picture.thumbnail(SIDE)?);
    let overlays = explained.maps.iter().map(|map| overlay(map, &picture, explained)).collect::<Result<Vec<_>>>()?;
    Ok(html! {
        p { "The network predicts " b { (explained.prediction) } "; the maps explain " b { (explained.target()) } "." }
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
    let scale = Scale::new(map.colours, &map.values);
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
