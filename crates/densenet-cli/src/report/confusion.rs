//! Which classes are taken for which: the confusion matrix, or the most common confusions where it would be too large
//! to read.

use std::cmp::Reverse;

use maud::{Markup, html};

use super::evaluated::Evaluated;
use super::figures::percent;
use crate::output::count;

/// Classes up to which the matrix is shown.
const MOST_CLASSES: usize = 30;

/// Confusions that are listed.
const COMMONEST: usize = 12;

/// The section's content; nothing without a matrix.
pub fn confusion(evaluated: &Evaluated) -> Markup {
    let counts = &evaluated.evaluation.confusion;
    html! {
        @if !counts.is_empty() {
            div class="side" {
                @if counts.len() <= MOST_CLASSES { (matrix(evaluated)) }
                (commonest(evaluated))
            }
        }
    }
}

/// A row per true class, a column per predicted class.
fn matrix(evaluated: &Evaluated) -> Markup {
    let counts = &evaluated.evaluation.confusion;
    html! {
        div class="scroll" tabindex="0" {
            table class="matrix" {
                caption {
                    "Rows are the true classes, columns the predicted ones; the stronger the colour, the larger the \
                     share of the row."
                }
                thead {
                    tr {
                        td {}
                        @for class in 0..counts.len() { th scope="col" { span { (evaluated.label(class)) } } }
                    }
                }
                tbody { @for (class, row) in counts.iter().enumerate() { (matrix_row(evaluated, class, row)) } }
            }
        }
    }
}

fn matrix_row(evaluated: &Evaluated, class: usize, row: &[u64]) -> Markup {
    let all = row.iter().sum::<u64>().max(1) as f64;
    html! {
        tr {
            th scope="row" { (evaluated.label(class)) }
            @for (predicted, &pictures) in row.iter().enumerate() {
                @let share = pictures as f64 / all;
                @if pictures == 0 { td { "·" } } @else {
                    td class=[(class == predicted).then_some("right")] style={ "--share:" (format!("{share:.3}")) } {
                        (count(pictures))
                    }
                }
            }
        }
    }
}

fn commonest(evaluated: &Evaluated) -> Markup {
    let mut found = Vec::new();
    for (class, row) in evaluated.evaluation.confusion.iter().enumerate() {
        let all: u64 = row.iter().sum();
        let wrong = row.iter().enumerate().filter(|&(predicted, &pictures)| predicted != class && pictures > 0);
        found.extend(wrong.map(|(predicted, &pictures)| (pictures, class, predicted, all)));
    }
    found.sort_by_key(|&(pictures, class, predicted, _)| (Reverse(pictures), class, predicted));
    found.truncate(COMMONEST);
    html! {
        @if !found.is_empty() {
            div class="scroll" tabindex="0" {
                table class="words" {
                    caption class="above" { "The most common confusions" }
                    thead {
                        tr {
                            @for name in ["True", "Taken for", "Pictures", "Share of the class"] {
                                th scope="col" { (name) }
                            }
                        }
                    }
                    tbody {
                        @for (pictures, class, predicted, all) in found {
                            tr {
                                th scope="row" { (evaluated.label(class)) }
                                td { (evaluated.label(predicted)) }
                                td { (count(pictures)) }
                                td { (percent(pictures as f64 / all as f64)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::evaluated::Evaluation;

    fn evaluated(confusion: Vec<Vec<u64>>) -> Evaluated {
        let evaluation = Evaluation { confusion, ..Evaluation::default() };
        Evaluated { evaluation, labels: vec!["cat".into(), "<i>".into()], ..Evaluated::default() }
    }

    #[test]
    fn a_matrix_with_shares_of_rows_and_escaped_names() {
        let html = confusion(&evaluated(vec![vec![3, 1], vec![0, 2]])).into_string();
        assert!(html.contains("style=\"--share:0.750\">3<") && html.contains("style=\"--share:0.250\">1<"), "{html}");
        assert!(html.contains("&lt;i&gt;") && !html.contains("<i>"), "{html}");
        assert!(html.contains("<td>&lt;i&gt;</td><td>1</td><td>25.00\u{a0}%</td>"), "{html}");
    }

    #[test]
    fn many_classes_have_their_commonest_confusions_alone() {
        let mut counts = vec![vec![0; 1000]; 1000];
        counts[7][900] = 12;
        counts[8][1] = 40;
        let html = confusion(&evaluated(counts)).into_string();
        assert!(!html.contains("matrix") && html.len() < 2_000, "{html}");
        assert!(html.find("class 8").unwrap() < html.find("class 900").unwrap(), "{html}");
    }

    #[test]
    fn nothing_without_a_matrix() {
        assert_eq!(confusion(&evaluated(vec![])).into_string(), "");
    }
}
