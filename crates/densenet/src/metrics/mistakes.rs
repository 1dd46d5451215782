//! Pictures to look at: the most confident mistakes, and those whose label is probably wrong.

use ndarray::ArrayView2;

use crate::data::Targets;

/// A picture, its given class or label, and what the network predicts instead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mistake {
    /// The picture: the row of its probabilities.
    pub picture: usize,
    /// The label concerned, where labels are independent; `truth` and `predicted` are then 1 if it is present, else 0.
    pub label: Option<usize>,
    /// The given class.
    pub truth: usize,
    /// The predicted class.
    pub predicted: usize,
    /// The probability of the predicted class; from 0 to 1.
    pub probability: f64,
}

/// A decision about a picture: which of several classes it shows, or whether a label is present.
struct Decision {
    picture: usize,
    label: Option<usize>,
    truth: usize,
    probabilities: Vec<f64>,
}

impl Decision {
    fn mistake(&self, predicted: usize) -> Mistake {
        let &Self { picture, label, truth, ref probabilities } = self;
        Mistake { picture, label, truth, predicted, probability: probabilities[predicted] }
    }

    /// The most likely of the classes that `among` allows; of equal ones the first.
    fn likeliest(&self, among: impl Fn(usize) -> bool) -> Option<usize> {
        let p = &self.probabilities;
        (0..p.len()).filter(|&class| among(class)).reduce(|best, class| if p[class] > p[best] { class } else { best })
    }
}

fn decisions<'a>(probabilities: ArrayView2<'a, f64>, targets: &'a Targets) -> Vec<Decision> {
    match targets {
        Targets::Classes(classes) => {
            let decision = |(picture, &truth): (usize, &usize)| Decision {
                picture,
                label: None,
                truth,
                probabilities: probabilities.row(picture).to_vec(),
            };
            classes.iter().enumerate().map(decision).collect()
        }
        Targets::Labels(labels) => {
            let decision = |((picture, label), &p): ((usize, usize), &f64)| {
                let there = labels[picture * probabilities.ncols() + label]?;
                Some(Decision {
                    picture,
                    label: Some(label),
                    truth: usize::from(there),
                    probabilities: vec![1.0 - p, p],
                })
            };
            probabilities.indexed_iter().filter_map(decision).collect()
        }
    }
}

/// Up to `n` pictures whose most likely class, by `probabilities` `(N, C)`, is not that of `targets`, the most
/// confident first.
pub fn most_confident_mistakes(probabilities: ArrayView2<'_, f64>, targets: &Targets, n: usize) -> Vec<Mistake> {
    let mistaken = |decision: &Decision| {
        let predicted = decision.likeliest(|_| true).filter(|&class| class != decision.truth)?;
        Some(decision.mistake(predicted))
    };
    let mut mistakes: Vec<Mistake> = decisions(probabilities, targets).iter().filter_map(mistaken).collect();
    mistakes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    mistakes.truncate(n);
    mistakes
}

/// Up to `n` pictures whose label in `targets` is probably wrong, the most probable first, by `probabilities` `(N, C)`
/// from a network that was not trained on them.
///
/// This is confident learning (Northcutt et al., JAIR 2021): a picture counts as belonging to a class if the class's
/// probability reaches its mean over the pictures labelled with it. Pictures that count as belonging to another class
/// than their label (of several, the most likely) are sorted by the probability of their label minus that of the other
/// class.
pub fn likeliest_wrong_labels(probabilities: ArrayView2<'_, f64>, targets: &Targets, n: usize) -> Vec<Mistake> {
    let decisions = decisions(probabilities, targets);
    let key = |decision: &Decision, class: usize| decision.label.map_or(class, |label| 2 * label + class);
    let mut sums = vec![(0.0, 0usize); 2 * probabilities.ncols()];
    for decision in &decisions {
        let (sum, count) = &mut sums[key(decision, decision.truth)];
        *sum += decision.probabilities[decision.truth];
        *count += 1;
    }
    let reached = |decision: &Decision, class: usize| {
        let (sum, count) = sums[key(decision, class)];
        count > 0 && decision.probabilities[class] >= sum / count as f64
    };
    let suspect = |decision: &Decision| {
        let other = decision.likeliest(|class| reached(decision, class)).filter(|&class| class != decision.truth)?;
        Some((decision.probabilities[decision.truth] - decision.probabilities[other], decision.mistake(other)))
    };
    let mut suspects: Vec<(f64, Mistake)> = decisions.iter().filter_map(suspect).collect();
    suspects.sort_by(|a, b| a.0.total_cmp(&b.0));
    suspects.into_iter().take(n).map(|(_, suspect)| suspect).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn mistakes_by_hand() {
        let probabilities = array![[0.1, 0.9], [0.45, 0.55], [0.2, 0.8], [0.7, 0.3], [0.5, 0.5]];
        let targets = Targets::Classes(vec![0, 0, 1, 0, 0]);
        let found = most_confident_mistakes(probabilities.view(), &targets, 5);
        assert_eq!(found.iter().map(|mistake| mistake.picture).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(found[0], Mistake { picture: 0, label: None, truth: 0, predicted: 1, probability: 0.9 });
        assert_eq!(most_confident_mistakes(probabilities.view(), &targets, 1).len(), 1);
    }

    /// Class 1 has a mean of 0.8 over its pictures: 0.55 does not reach it, 0.9 does.
    #[test]
    fn wrong_labels_are_as_sure_as_those_of_their_class() {
        let probabilities = array![[0.1, 0.9], [0.45, 0.55], [0.2, 0.8], [0.7, 0.3], [0.5, 0.5], [0.05, 0.95]];
        let targets = Targets::Classes(vec![0, 0, 1, 0, 0, 0]);
        let found = likeliest_wrong_labels(probabilities.view(), &targets, 5);
        assert_eq!(
            found.iter().map(|suspect| (suspect.picture, suspect.predicted)).collect::<Vec<_>>(),
            [(5, 1), (0, 1)]
        );
    }

    #[test]
    fn labels_are_asked_about_one_by_one() {
        let probabilities = array![[0.9, 0.2], [0.3, 0.1]];
        let targets = Targets::Labels(vec![Some(false), Some(false), None, Some(true)]);
        let found = most_confident_mistakes(probabilities.view(), &targets, 5);
        let expected = [(1, Some(1), 1, 0, 0.9), (0, Some(0), 0, 1, 0.9)];
        assert_eq!(found.len(), 2);
        for (picture, label, truth, predicted, probability) in expected {
            assert!(found.contains(&Mistake { picture, label, truth, predicted, probability }), "{found:?}");
        }
    }
}
