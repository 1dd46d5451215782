//! Fine-tuning: which parameters learn, and how fast compared with those of the classifier.

use ndarray::{ArrayView2, ArrayView4};

use super::settings::{Freeze, Settings};
use crate::network::{Backprop, DenseNet, StepOptions, StepOutcome};
use crate::optimiser::Rates;
use crate::{Architecture, Result};

impl Settings {
    /// Loss and gradients of a step; those of the classifier alone if the body is frozen.
    pub(super) fn gradients(
        &self,
        backprop: &mut Backprop,
        network: &mut DenseNet,
        images: ArrayView4<'_, f32>,
        targets: ArrayView2<'_, f32>,
        options: &StepOptions<'_>,
    ) -> Result<StepOutcome<f32>> {
        match self.freeze {
            Freeze::Body => backprop.run_classifier(network, images, targets, options),
            Freeze::None | Freeze::Weights => backprop.run_in_parts(network, images, targets, options, self.accumulate),
        }
    }

    /// The rates of all parameters in an epoch, the first of which is 0, if the classifier's is `rate`.
    pub(super) fn rates(&self, rate: f64, epoch: usize, architecture: &Architecture) -> Rates {
        let classifier = first_of_classifier(architecture);
        let learns_from = match (self.freeze, self.unfreeze_every) {
            (Freeze::None, _) => 0,
            (_, None) => classifier,
            (_, Some(every)) => {
                let stages = stages(architecture);
                stages.iter().rev().nth(epoch / every).copied().unwrap_or(0)
            }
        };
        let mut places = vec![(0, 0.0), (learns_from, rate * self.body_lr), (classifier, rate)];
        places.dedup_by(|next, before| {
            next.0 == before.0 && {
                before.1 = next.1;
                true
            }
        });
        Rates::from_places(places)
    }
}

/// Where the classifier's parameters begin; the end of all parameters if there is none.
pub(super) fn first_of_classifier(architecture: &Architecture) -> usize {
    architecture.classifier.first().map_or(architecture.num_parameters(), |layer| layer.weight.start)
}

/// Where the parameters of each stage begin: the stem, each block with the transition after it (the last with the final
/// batch-norm), and the classifier.
fn stages(architecture: &Architecture) -> Vec<usize> {
    let blocks = architecture.blocks.iter().map(|block| {
        let first = &block.layers[0];
        first.bottleneck.as_ref().unwrap_or(&first.conv).norm.weight.start
    });
    std::iter::once(0).chain(blocks).chain([first_of_classifier(architecture)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn stages_begin_to_learn_from_the_top() {
        let architecture = Architecture::new(&Config::preset("densenet-bc-40-12").unwrap()).unwrap();
        let stages = stages(&architecture);
        assert_eq!(stages.len(), 5);
        let name = |place: &usize| {
            let tensor = architecture.parameters.iter().find(|tensor| tensor.range.start == *place).unwrap();
            tensor.name.clone()
        };
        let names: Vec<String> = stages.iter().map(name).collect();
        assert_eq!(names[0], "features.conv0.weight");
        assert_eq!(names[1], "features.denseblock1.denselayer1.norm1.weight");
        assert_eq!(names[3], "features.denseblock3.denselayer1.norm1.weight");
        assert_eq!(names[4], "classifier.weight");
        let gradual =
            Settings { freeze: Freeze::Weights, unfreeze_every: Some(2), body_lr: 0.1, ..Settings::default() };
        let places = |epoch| gradual.rates(0.5, epoch, &architecture);
        assert_eq!(places(1), Rates::from_places(vec![(0, 0.0), (stages[4], 0.5)]));
        assert_eq!(places(2), Rates::from_places(vec![(0, 0.0), (stages[3], 0.05), (stages[4], 0.5)]));
        assert_eq!(places(8), Rates::from_places(vec![(0, 0.05), (stages[4], 0.5)]));
        assert_eq!(places(100), places(8));
        let all = Settings::default().rates(0.5, 0, &architecture);
        assert_eq!(all, Rates::from_places(vec![(0, 0.5), (stages[4], 0.5)]));
    }
}
