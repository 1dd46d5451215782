//! An evaluation for people.

use densenet::evaluation::{ClassFigures, Evaluation};
use densenet::metrics::Interval;

use crate::output::{self, count, counted};

/// Classes beyond which a table of them would not fit a terminal; the most common mistakes are listed instead.
const WIDEST_TABLE: usize = 20;

/// Lines of a list of mistakes.
const LONGEST_LIST: usize = 10;

/// All that is said about an evaluation: figures, each class or label, and which classes are taken for which.
pub fn describe(evaluation: &Evaluation, labels: &[String]) -> String {
    let Evaluation { confusion, per_class, .. } = evaluation;
    let lines = [headline(evaluation), means(evaluation), calibration(evaluation)].join("\n");
    let mut text = format!("{lines}\n\n{}", classes(per_class, labels));
    if !confusion.is_empty() {
        let few = labels.len() <= WIDEST_TABLE;
        text += &format!("\n{}", if few { table(confusion, labels) } else { mistakes(confusion, labels) });
    }
    text
}

/// The figure that counts, and how sure it is.
pub fn headline(evaluation: &Evaluation) -> String {
    let &Evaluation { images, correct, top1, top5, loss, intervals, ref per_class, .. } = evaluation;
    let (Some(top1), Some(correct), Some(top5)) = (top1, correct, top5) else {
        let (labels, images) = (counted(per_class.len(), "label"), counted(images as usize, "picture"));
        return format!("{} ({labels}, {images}), loss {loss:.4}", mean_auc(evaluation));
    };
    let interval = interval(intervals.and_then(|intervals| intervals.top1), |end| format!("{:.2}", 100.0 * end));
    let (top1, correct, images) = (100.0 * top1, count(correct), count(images));
    // With five classes, all are among the top five.
    let top5 = if per_class.len() > 5 { format!(", top 5 {:.2} %", 100.0 * top5) } else { String::new() };
    format!("accuracy {top1:.2} %{interval} ({correct} of {images} pictures){top5}, loss {loss:.4}")
}

/// What else is said about all classes or labels.
fn means(evaluation: &Evaluation) -> String {
    let &Evaluation { accuracy, f1, average_precision, .. } = evaluation;
    let first = accuracy.map_or(mean_auc(evaluation), |accuracy| format!("accuracy {:.2} %", 100.0 * accuracy));
    format!("{first}, mean average precision {}, mean F1 {f1:.4}", or_dash(average_precision))
}

fn calibration(evaluation: &Evaluation) -> String {
    let &Evaluation { ece, brier, temperature, .. } = evaluation;
    let warm = if temperature == 1.0 { String::new() } else { format!(" at temperature {temperature:.3}") };
    format!("calibration error {:.2} %{warm}, Brier score {brier:.4}", 100.0 * ece)
}

fn mean_auc(evaluation: &Evaluation) -> String {
    let ends = evaluation.intervals.and_then(|intervals| intervals.auc);
    format!("mean ROC-AUC {}{}", or_dash(evaluation.auc), interval(ends, |end| format!("{end:.4}")))
}

/// ` [95 %: LOW to HIGH]`; nothing where there is none.
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
        let right = match row.iter().sum::<u64>() {
            0 => "-".into(),
            all => format!("{:.1} %", 100.0 * row[class] as f64 / all as f64),
        };
        std::iter::once(label.clone()).chain(counts).chain([right]).collect()
    });
    output::table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

/// The most common mistakes.
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
    use densenet::evaluation::Intervals;

    use super::*;

    fn figures(f1: f64, support: u64) -> ClassFigures {
        let (precision, recall, accuracy) = (0.5, 0.25, 0.75);
        ClassFigures { precision, recall, f1, support, accuracy, auc: Some(0.9), average_precision: None }
    }

    #[test]
    fn a_table_for_few_classes_and_the_commonest_mistakes_for_many() {
        let labels = ["cat", "leopard"].map(String::from);
        let confusion = [vec![3, 1], vec![0, 2]];
        let expected = "true \\ predicted  cat  leopar    right\ncat                 3       1   75.0 %\nleopard             ·       2  100.0 %\n";
        assert_eq!(table(&confusion, &labels), expected);
        assert_eq!(mistakes(&confusion, &labels), "true  predicted  pictures\ncat     leopard         1\n");
        let without_leopards = table(&[vec![3, 1], vec![0, 0]], &labels);
        assert!(without_leopards.ends_with("\nleopard             ·       ·       -\n"), "{without_leopards}");
    }

    #[test]
    fn each_class_has_a_row_and_of_many_the_worst() {
        let labels = |count: usize| (0..count).map(|class| format!("c{class}")).collect::<Vec<_>>();
        let few = classes(&[figures(0.3, 4)], &labels(1));
        let expected = "class  precision  recall      F1  ROC-AUC  avg prec  pictures\n\
                        c0        0.5000  0.2500  0.3000   0.9000         -         4\n";
        assert_eq!(few, expected);
        let per_class: Vec<_> = (0..30).map(|class| figures(1.0 - class as f64 / 100.0, class % 29)).collect();
        let many = classes(&per_class, &labels(30));
        let first: Vec<&str> = many.lines().map(|line| line.split("  ").next().unwrap()).collect();
        assert_eq!(first[..3], ["lowest F1", "c28", "c27"]);
        assert_eq!(first.len(), 1 + LONGEST_LIST);
    }

    #[test]
    fn the_headline_is_of_classes_or_of_labels() {
        let intervals = Some(Intervals { top1: Some([0.5, 0.75]), auc: Some([0.8, 0.9]), loss: None });
        let labels = Evaluation { images: 3, auc: Some(0.85), loss: 0.5, intervals, ..Evaluation::default() };
        assert_eq!(
            headline(&labels),
            "mean ROC-AUC 0.8500 [95 %: 0.8000 to 0.9000] (0 labels, 3 pictures), loss 0.5000"
        );
        let (top1, top5, correct) = (Some(0.625), Some(1.0), Some(5));
        let classes = Evaluation { images: 8, top1, top5, correct, per_class: vec![figures(0.5, 2); 5], ..labels };
        let expected = "accuracy 62.50 % [95 %: 50.00 to 75.00] (5 of 8 pictures), loss 0.5000";
        assert_eq!(headline(&classes), expected);
        let of_six = Evaluation { per_class: vec![figures(0.5, 2); 6], ..classes.clone() };
        let expected = "accuracy 62.50 % [95 %: 50.00 to 75.00] (5 of 8 pictures), top 5 100.00 %, loss 0.5000";
        assert_eq!(headline(&of_six), expected);
        let text = describe(&Evaluation { temperature: 1.5, ece: 0.01, ..classes }, &[]);
        assert!(text.contains("\ncalibration error 1.00 % at temperature 1.500, Brier score 0.0000\n"), "{text}");
    }
}
