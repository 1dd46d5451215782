//! The table of figures for every class or label.

use maud::{Markup, html};

use super::evaluated::{ClassFigures, Evaluated};
use crate::output::count;

/// Classes that are listed.
const MOST: usize = 300;

/// A column: its name, and its figure of a class.
type Column = (&'static str, fn(&ClassFigures) -> Option<f64>);

const COLUMNS: [Column; 5] = [
    ("Precision", |figures| figures.precision),
    ("Recall", |figures| figures.recall),
    ("F1", |figures| figures.f1),
    ("ROC-AUC", |figures| figures.auc),
    ("Average precision", |figures| figures.average_precision),
];

/// The table, which the page's script sorts; of many classes, those with the lowest F1. Columns that no class has a
/// figure for are left out.
pub fn classes(evaluated: &Evaluated) -> Markup {
    let all = &evaluated.evaluation.per_class;
    let columns: Vec<Column> =
        COLUMNS.into_iter().filter(|(_, of)| all.iter().any(|figures| of(figures).is_some())).collect();
    let mut shown: Vec<usize> = (0..all.len()).collect();
    if all.len() > MOST {
        let f1 = |&class: &usize| all[class].f1.unwrap_or(f64::INFINITY);
        shown.sort_by(|a, b| f1(a).total_cmp(&f1(b)));
        shown.truncate(MOST);
    }
    html! {
        @if shown.len() < all.len() {
            p { "The " (MOST) " of " (count(all.len() as u64)) " classes with the lowest F1." }
        }
        div class="scroll" tabindex="0" {
            table class="sortable" {
                thead {
                    tr {
                        th scope="col" { "Class" }
                        @for (name, _) in &columns { th scope="col" { (name) } }
                        th scope="col" { "Pictures" }
                    }
                }
                tbody { @for class in shown { (row(&evaluated.label(class), &all[class], &columns)) } }
            }
        }
    }
}

fn row(label: &str, figures: &ClassFigures, columns: &[Column]) -> Markup {
    html! {
        tr {
            th scope="row" { (label) }
            @for (_, of) in columns {
                td { @match of(figures) { Some(figure) => { (format!("{:.1}", 100.0 * figure)) } None => "–" } }
            }
            td { @match figures.support { Some(pictures) => { (count(pictures)) } None => "–" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::evaluated::Evaluation;

    fn table(classes_in_all: usize) -> String {
        let figures =
            |class| ClassFigures { f1: Some(class as f64 / 1000.0), support: Some(9), ..ClassFigures::default() };
        let evaluation = Evaluation { per_class: (0..classes_in_all).map(figures).collect(), ..Evaluation::default() };
        classes(&Evaluated { evaluation, labels: vec!["a & b".into()], ..Evaluated::default() }).into_string()
    }

    #[test]
    fn what_no_class_has_is_no_column() {
        let html = table(1);
        assert!(html.contains("F1") && !html.contains("Recall") && html.contains("a &amp; b"), "{html}");
    }

    #[test]
    fn of_many_classes_the_worst() {
        let html = table(21_000);
        assert!(html.contains("300 of 21,000 classes") && html.contains("class 299<") && !html.contains("class 300<"));
        assert!(html.len() < 50_000, "{}", html.len());
    }
}
