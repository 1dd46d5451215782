//! Networks whose predictions are averaged, e.g. those from several seeds or from the cycles of one training run (Huang
//! et al. 2017, arXiv 1704.00109).

use ndarray::{Array2, ArrayView4};

use crate::network::DenseNet;
use crate::output::{Output, mean_logits};
use crate::{Error, Result};

/// Networks that predict together: the probability of a class or label is the mean of theirs. All take the same input.
#[derive(Clone, Debug)]
pub struct Ensemble<'a> {
    members: Vec<(&'a DenseNet, Output)>,
}

impl<'a> Ensemble<'a> {
    /// Combines networks, each with the meaning of its logits; at least one.
    ///
    /// # Errors
    /// No network, one without a classifier, or networks that differ in the number of classes or in whether they
    /// predict classes or labels.
    pub fn new(members: impl IntoIterator<Item = (&'a DenseNet, Output)>) -> Result<Self> {
        let members: Vec<_> = members.into_iter().collect();
        let kind = |(network, output): &(&DenseNet, Output)| {
            (network.architecture().config.num_classes, output.is_independent())
        };
        let Some(first) = members.first().map(kind) else {
            return Err(Error::Config("an ensemble needs at least one network".into()));
        };
        members.iter().try_for_each(|(network, _)| network.architecture().check_classifier())?;
        if members.iter().any(|member| kind(member) != first) {
            let reason = "an ensemble's networks must have equally many classes, and be all softmax or all sigmoid";
            return Err(Error::Config(reason.into()));
        }
        Ok(Self { members })
    }

    /// Number of classes or labels.
    pub fn num_classes(&self) -> usize {
        self.members[0].0.architecture().config.num_classes
    }

    /// What [`logits`](Self::logits) mean: for one network the same as its own; for several, without thresholds and
    /// temperature.
    pub fn output(&self) -> Output {
        match &*self.members {
            [(_, output)] => output.clone(),
            members => members[0].1.plain(),
        }
    }

    /// Logits `(N, classes)` for `images` `(N, C, H, W)`: the network's own, or for several networks the logits of
    /// their mean probability.
    ///
    /// # Errors
    /// Those of [`DenseNet::logits`].
    pub fn logits(&self, images: ArrayView4<'_, f32>) -> Result<Array2<f32>> {
        let mut all = self.members.iter().map(|(network, _)| network.logits(images)).collect::<Result<Vec<_>>>()?;
        if all.len() == 1 {
            return Ok(all.remove(0));
        }
        let outputs = || self.members.iter().map(|(_, output)| output);
        let mean =
            |picture| mean_logits(&outputs().zip(all.iter().map(|logits| logits.row(picture))).collect::<Vec<_>>());
        let rows = (0..images.dim().0).flat_map(mean).collect();
        Ok(Array2::from_shape_vec(all[0].dim(), rows).expect("as many logits as each network has"))
    }
}
