//! The page of `--page`: a map of the features, and the neighbours of the first inputs.

use std::path::Path;

use anyhow::Result;
use maud::{Markup, html};
use ndarray::Axis;
use rayon::prelude::*;

use super::embeddings::{Embeddings, Source};
use super::groups::Groups;
use super::layout::{Layout, Method};
use super::nearest::Neighbours;
use super::thumbnails::{self, LARGE, SMALL};
use crate::output::counted;
use crate::report::page;

/// Inputs that a map shows.
const MOST: usize = 2_000;

/// Inputs up to which pictures are large.
const FEW: usize = 500;

/// Inputs whose neighbours are shown.
pub const ROWS: usize = 50;

/// Width and greatest height of the map, and what is left free around it, in units of SVG.
const SIDE: f64 = 420.0;
const EDGE: f64 = 10.0;

/// The page of what was `found` by `weights`, laid out by `method`. Pictures are read again for it, from files of at most
/// `max_pixels`.
///
/// # Errors
/// Those of [`Method::layout`].
pub fn page(
    weights: &Path,
    found: &Embeddings<Source>,
    method: Method,
    neighbours: &[Neighbours],
    max_pixels: usize,
) -> Result<String> {
    let count = found.of.len();
    let shown = count.min(MOST);
    let rows: Vec<usize> = (0..shown).map(|place| place * count / shown).collect();
    let layout = method.layout(found.values.select(Axis(0), &rows).view())?;
    let sources: Vec<&Source> = rows.iter().map(|&row| &found.of[row]).collect();
    let side = if shown > FEW { SMALL } else { LARGE };
    let pictures = sources.par_iter().map(|source| thumbnails::of(source, side, max_pixels)).collect::<Vec<_>>();
    let inputs = neighbours.iter().zip(&found.of).take(ROWS);
    let inputs: Vec<_> = inputs.map(|(near, source)| (thumbnails::of(source, LARGE, max_pixels), near)).collect();
    let body = html! {
        header {
            h1 { "Features of " (counted(count, "input")) }
            p { "by " (weights.display()) ", " (counted(found.values.ncols(), "value")) " each" }
        }
        (page::section("Map", &html! {
            p {
                "Inputs that look similar to the network are near each other. " (layout.words)
                @if shown < count { " Of all inputs " (counted(shown, "input")) " are shown, evenly spread." }
            }
            (map(&layout, &sources, &pictures))
        }))
        (page::section("Neighbours", &listed(&inputs, neighbours.len())))
    };
    Ok(page::page("Features", false, &body))
}

fn map(layout: &Layout, sources: &[&Source], pictures: &[Option<String>]) -> Markup {
    let (groups, (places, height)) = (Groups::new(sources), fitted(&layout.places));
    let in_words = format!("{} as points of a plane", counted(sources.len(), "input"));
    let points = sources.iter().zip(&places).zip(pictures).zip(&groups.of);
    html! {
        figure class="chart map" {
            svg viewBox={ "0 0 " (SIDE) " " (height) } role="img" aria-label=(in_words) {
                @for (((source, [x, y]), picture), group) in points {
                    circle class=(groups.mark(*group)) cx=(x) cy=(y) r="2" data-tip=(source)
                        data-picture=[picture.as_ref()] {}
                }
            }
            @if groups.names.len() > 1 {
                ul class="legend" {
                    @for (mark, name) in groups.legend() {
                        li {
                            svg viewBox="0 0 10 10" aria-hidden="true" { circle class=(mark) cx="5" cy="5" r="2" {} }
                            (name)
                        }
                    }
                }
            }
        }
    }
}

/// Places within the map, to a tenth of a unit, on the same scale along both axes, and its height; upwards is up.
fn fitted(places: &[[f64; 2]]) -> (Vec<[f64; 2]>, f64) {
    let ends = [0, 1].map(|axis| {
        let ends = (f64::INFINITY, f64::NEG_INFINITY);
        places.iter().fold(ends, |(low, high), place| (low.min(place[axis]), high.max(place[axis])))
    });
    let extents = ends.map(|(low, high)| high - low);
    let scale = (SIDE - 2.0 * EDGE) / extents[0].max(extents[1]).max(1e-30);
    let round = |unit: f64| (10.0 * unit).round() / 10.0;
    let height = round(scale * extents[1] + 2.0 * EDGE);
    let at = |place: &[f64; 2], axis: usize| scale * (place[axis] - (ends[axis].0 + ends[axis].1) / 2.0);
    let fitted = |place| [round(SIDE / 2.0 + at(place, 0)), round(height / 2.0 - at(place, 1))];
    (places.iter().map(fitted).collect(), height)
}

/// The first of that many `inputs`, each before its neighbours; nothing where there are none.
fn listed(shown: &[(Option<String>, &Neighbours)], inputs: usize) -> Markup {
    html! {
        @if inputs > 0 {
            p {
                "Each input, followed by the pictures whose features are most similar to its own, with the cosine of \
                 the angle between them: 1 where they point the same way."
                @if shown.len() < inputs { " These are the first " (shown.len()) " of " (counted(inputs, "input")) "." }
            }
        }
        @for (picture, Neighbours { input, nearest }) in shown {
            div class="pictures neighbours" {
                (figure(input, picture.as_deref(), &html! { span { b { (input) } } }))
                @for near in nearest {
                    (figure(&near.picture, near.thumbnail.as_deref(), &html! {
                        span { (format!("{:.4}", near.similarity)) }
                        span { (if near.labels.is_empty() { near.picture.clone() } else { near.labels.join(" + ") }) }
                    }))
                }
            }
        }
    }
}

fn figure(name: &str, picture: Option<&str>, caption: &Markup) -> Markup {
    html! {
        figure title=(name) {
            @match picture {
                Some(jpeg) => img src={ "data:image/jpeg;base64," (jpeg) } alt={ "Picture " (name) };
                None => div class="missing" { "no picture" }
            }
            figcaption { (caption) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::nearest::Neighbour;
    use super::*;

    const EVIL: &str = "\"><script>alert(1)</script>";

    fn found(count: usize) -> Embeddings<Source> {
        let mut found = Embeddings::default();
        for i in 0..count {
            let values = ndarray::array![i as f32, (i % 7) as f32, 1.0];
            found.add(Source::Picture(format!("{EVIL}{}/{i}.png", i % 20).into()), values.view()).unwrap();
        }
        found
    }

    #[test]
    fn hostile_texts_are_escaped() {
        let near = Neighbour { picture: EVIL.into(), labels: vec![EVIL.into()], similarity: 0.5, thumbnail: None };
        let neighbours = [Neighbours { input: EVIL.into(), nearest: vec![near] }];
        let page = page(Path::new(EVIL), &found(3), Method::Pca, &neighbours, 100).unwrap();
        assert!(!page.contains("<script>alert") && page.contains("&quot;&gt;&lt;script&gt;"), "{page}");
        assert_eq!((page.matches("data-tip=").count(), page.matches("<figure").count()), (3, 3));
    }

    #[test]
    fn a_map_of_many_shows_some() {
        let page = page(Path::new("w"), &found(5_000), Method::Pca, &[], 100).unwrap();
        assert_eq!(page.matches("data-tip=").count(), MOST);
        assert!(page.contains("Of all inputs 2,000 inputs are shown") && !page.contains("Neighbours"));
    }

    #[test]
    fn places_lie_within_the_map_on_one_scale() {
        let wide = fitted(&[[-1.0, 0.0], [3.0, 2.0], [1.0, 0.0]]);
        assert_eq!(wide, (vec![[10.0, 210.0], [410.0, 10.0], [210.0, 210.0]], 220.0));
        let tall = fitted(&[[0.0, 0.0], [1.0, 4.0]]);
        assert_eq!(tall, (vec![[160.0, 410.0], [260.0, 10.0]], 420.0));
        assert_eq!(fitted(&[[0.0; 2]]), (vec![[210.0, 10.0]], 20.0));
    }
}
