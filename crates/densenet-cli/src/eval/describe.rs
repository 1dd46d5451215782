//! An evaluation for people.

use densenet::evaluation::{ClassFigures, Evaluation, Intervals};
use densenet::metrics::Interval;

use crate::output::{self, count, counted};

/// Classes beyond which a table of them would not fit a terminal; those that are mistaken most are listed instead.
const WIDEST_TABLE: usize = 20;

/// Lines of a list of mistakes.
const LONGEST_LIST: usize = 10;

/// All that is said of an evaluation: figures, each class or label, and which classes are taken for which.
pub fn describe(evaluation: &Evaluation, labels: &[String]) -> String {
    let Evaluation { confusion, per_class, .. } = evaluation;
    let mut text = format!("{}\n{}\n\n{}", headline(evaluation), second_line(evaluation), classes(per_class, labels));
    if !confusion.is_empty() {
        let few = labels.len() <= WIDEST_TABLE;
        text += &format!("\n{}", if few { table(confusion, labels) } else { mistakes(confusion, labels) });
    }
    text
}

/// The figure that counts, and how sure it is.
pub fn headline(evaluation: &Evaluation) -> String {
    let &Evaluation { images, correct, top1, top5, loss, intervals, .. } = evaluation;
    let Intervals { top1: top1_interval, auc: auc_interval, .. } = intervals.unwrap_or_default();
    match (top1, correct, top5) {
        (Some(top1), Some(correct), Some(top5)) => {
            let share = interval(top1_interval, |end| format!("{:.2}", 100.0 * end));
            let (correct, images, top5) = (count(correct), count(images), 100.0 * top5);
            format!(
                "accuracy {:.2} %{share} ({correct} of {images} pictures), top 5 {top5:.2} %, loss {loss:.4}",
                100.0 * top1
            )
        }
        _ => {
            let auc = or_dash(evaluation.auc);
            let share = interval(auc_interval, |end| format!("{end:.4}"));
            let (labels, images) = (counted(evaluation.per_class.len(), "label"), counted(images as usize, "picture"));
            format!("mean ROC-AUC {auc}{share} ({labels}, {images}), loss {loss:.4}")
        }
    }
}

/// What else is said of all classes.
fn second_line(evaluation: &Evaluation) -> String {
    let &Evaluation { accuracy, f1, brier, ece, temperature, intervals, auc, average_precision, .. } = evaluation;
    let auc = match accuracy {
        Some(accuracy) => format!("accuracy {:.2} %", 100.0 * accuracy),
        None => {
            let Intervals { auc: ends, .. } = intervals.unwrap_or_default();
            format!("mean ROC-AUC {}{}", or_dash(auc), interval(ends, |end| format!("{end:.4}")))
        }
    };
    let precision = or_dash(average_precision);
    let warm = if temperature == 1.0 { String::new() } else { format!(" at temperature {temperature:.3}") };
    format!(
        "{auc}, average precision {precision}, macro F1 {f1:.4}\n\
         calibration error {:.2} %{warm}, Brier score {brier:.4}",
        100.0 * ece
    )
}

/// `, 95 % of LOW to HIGH`; nothing where there is none.
fn interval(ends: Option<Interval>, end: impl Fn(f64) -> String) -> String {
    ends.map_or(String::new(), |[low, high]| format!(" [95 %: {} to {}]", end(low), end(high)))
}

fn or_dash(figure: Option<f64>) -> String {
    figure.map_or("-".into(), |figure| format!("{figure:.4}"))
}

/// A row for each class; of many, for those with the lowest F1 scores among those that pictures show.
fn classes(per_class: &[ClassFigures], labels: &[String]) -> String {
    let mut rows: Vec<(&String, &ClassFigures)> = labels.iter().zip(per_class).collect();
    let many = rows.len() > WIDEST_TABLE;
    if many {
        rows.retain(|(_, figures)| figures.support > 0);
        rows.sort_by(|a, b| a.1.f1.total_cmp(&b.1.f1));
        rows.truncate(LONGEST_LIST);
    }
    let first = if many { "lowest F1" } else { "class" };
    let header = [first, "precision", "recall", "F1", "ROC-AUC", "avg prec", "pictures"].map(String::from).to_vec();
    let row = |(label, figures): &(&String, &ClassFigures)| {
        let &&ClassFigures { precision, recall, f1, auc, average_precision, support, .. } = figures;
        let shares = [precision, recall, f1].map(|share| format!("{share:.4}"));
        let areas = [auc, average_precision].map(or_dash);
        [label.to_string()].into_iter().chain(shares).chain(areas).chain([count(support)]).collect()
    };
    output::table(&std::iter::once(header).chain(rows.iter().map(row)).collect::<Vec<_>>())
}

/// A row per true class, a column per predicted class.
fn table(confusion: &[Vec<u64>], labels: &[String]) -> String {
    let short = |label: &String| label.chars().take(6).collect::<String>();
    let header = std::iter::once("true \\ predicted".to_string()).chain(labels.iter().map(short));
    let header: Vec<String> = header.chain(["right".to_string()]).collect();
    let rows = confusion.iter().zip(labels).enumerate().map(|(class, (row, label))| {
        let counts = row.iter().map(|&count| if count == 0 { "·".into() } else { count.to_string() });
        let right = 100.0 * row[class] as f64 / row.iter().sum::<u64>().max(1) as f64;
        std::iter::once(label.clone()).chain(counts).chain([format!("{right:.1} %")]).collect()
    });
    output::table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

/// The commonest mistakes.
fn mistakes(confusion: &[Vec<u64>], labels: &[String]) -> String {
    let cells =
        confusion.iter().enumerate().flat_map(|(class, row)| row.iter().enumerate().map(move |cell| (class, cell)));
    let mut wrong: Vec<_> = cells.filter(|(class, (predicted, count))| class != predicted && **count > 0).collect();
    wrong.sort_by_key(|(_, (_, count))| std::cmp::Reverse(**count));
    let header = ["true", "predicted", "pictures"].map(String::from).to_vec();
    let rows = wrong
        .iter()
        .take(LONGEST_LIST)
        .map(|(class, (predicted, count))| vec![labels[*class].clone(), labels[*predicted].clone(), count.to_string()]);
    output::table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_for_few_classes_and_the_commonest_mistakes_for_many() {
        let labels = ["cat", "leopard"].map(String::from);
        let confusion = [vec![3, 1], vec![0, 2]];
        let expected = "true \\ predicted  cat  leopar    right\ncat                 3       1   75.0 %\nleopard             ·       2  100.0 %\n";
        assert_eq!(table(&confusion, &labels), expected);
        assert_eq!(mistakes(&confusion, &labels), "true  predicted  pictures\ncat     leopard         1\n");
    }
}
