//! Takes inputs through a network, and keeps account of those that cannot be read.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Result};
use densenet::data::{Picture, Preprocessing, Unreadable};
use densenet::network::DenseNet;
use densenet::{Error, prefetch};
use ndarray::{Array2, ArrayView1, ArrayView4, Axis};

use super::embeddings::{Embeddings, Source};
use crate::output::{self, Misuse, counted};
use crate::predict::batch::{Batch, progress};
use crate::predict::inputs::Array;

/// Makes features of inputs.
pub struct Collector<'n> {
    network: &'n DenseNet,
    /// From 1; none for what the classifier reads.
    block: Option<usize>,
    batch: usize,
    read: usize,
    /// Inputs that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// How many pictures are not stored upright.
    pub turned: usize,
}

impl<'n> Collector<'n> {
    /// Of the maps of a `block`, from 1, or of what the classifier reads; `batch` inputs go through the network together.
    ///
    /// # Errors
    /// A block that does not exist.
    pub fn new(network: &'n DenseNet, block: Option<usize>, batch: usize) -> Result<Self> {
        let blocks = network.architecture().blocks.len();
        match block {
            Some(block) if !(1..=blocks).contains(&block) => {
                let has = counted(blocks, "block");
                Err(Misuse(format!("--block is {block}; this network has {has}, counted from 1")).into())
            }
            _ => Ok(Self { network, block, batch, read: 0, unreadable: Vec::new(), turned: 0 }),
        }
    }

    /// How many inputs there were, read or not.
    pub fn count(&self) -> usize {
        self.read + self.unreadable.len()
    }

    /// Takes an input that cannot be read: it is named, and the other inputs continue.
    pub fn leave_out(&mut self, input: Unreadable) {
        output::complain("error", &anyhow::anyhow!("{input}"));
        self.unreadable.push(input);
    }

    /// Adds the features of the picture that `open` makes of each of `items` to `found`. A batch is read, decoded and
    /// resized while the one before it is in the network.
    pub fn add<'p, S: Clone + Send + Sync>(
        &mut self,
        items: &[S],
        preprocessing: &Preprocessing,
        name: impl Fn(&S) -> String,
        open: impl Fn(&S) -> Result<Picture<'p>, Error> + Send + Sync,
        found: &mut Embeddings<S>,
    ) -> Result<()> {
        let (together, bar) = (self.batch, progress(items.len(), self.batch));
        let prepare = |items| Batch::read(items, preprocessing, &open);
        let work = |mut batch: Batch<'_, S>| {
            let features = self.features(batch.images.view())?;
            self.turned += batch.turned;
            bar.suspend(|| {
                batch.items.iter().zip(features.rows()).enumerate().try_for_each(|(place, (item, features))| {
                    match batch.failures.remove(&place) {
                        Some(error) => self.leave_out(Unreadable::new(name(item), &error)),
                        None => self.keep(item.clone(), &name(item), features, found)?,
                    }
                    anyhow::Ok(())
                })
            })?;
            bar.inc(batch.items.len() as u64);
            anyhow::Ok(ControlFlow::<()>::Continue(()))
        };
        prefetch(items.chunks(together), prepare, work)?;
        bar.finish_and_clear();
        Ok(())
    }

    /// Adds the features of the inputs of an `array`, read from `path`, to `found`.
    pub fn add_array(&mut self, array: Array, path: &Path, found: &mut Embeddings<Source>) -> Result<()> {
        let mut place = 0;
        for images in array.batches(path, self.batch)? {
            for features in self.features(images?.view())?.rows() {
                let source = Source::Row(path.into(), place);
                let name = source.to_string();
                self.keep(source, &name, features, found)?;
                place += 1;
            }
        }
        Ok(())
    }

    /// `(N, values)` of `images` `(N, C, H, W)`.
    fn features(&self, images: ArrayView4<'_, f32>) -> Result<Array2<f32>> {
        let Some(block) = self.block else { return Ok(self.network.pooled(images)?) };
        let maps = self.network.features(images)?.blocks.swap_remove(block - 1);
        maps.mean_axis(Axis(3)).and_then(|rows| rows.mean_axis(Axis(2))).context("a map has a pixel")
    }

    /// Adds features to `found`; those that are not finite are a failure of this input alone.
    fn keep<S>(&mut self, item: S, name: &str, features: ArrayView1<'_, f32>, found: &mut Embeddings<S>) -> Result<()> {
        if features.iter().any(|value| !value.is_finite()) {
            let reason = "the network's output is not finite; the input or the weights hold values that are not";
            self.leave_out(Unreadable { input: name.into(), reason: reason.into() });
            return Ok(());
        }
        self.read += 1;
        found.add(item, features).with_context(|| name.to_string())
    }
}
