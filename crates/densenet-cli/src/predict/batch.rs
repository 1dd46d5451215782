//! Pictures that go through a network together.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use densenet::Error;
use densenet::data::{Picture, Preprocessing};
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::Array4;

/// Pictures that go through the network together.
pub struct Batch<'i, I> {
    /// Where they come from.
    pub items: &'i [I],
    /// `(N, C, H, W)`; the place of a picture that cannot be read is empty.
    pub images: Array4<f32>,
    /// Why pictures cannot be read, by their places.
    pub failures: BTreeMap<usize, Error>,
    /// How many are not stored upright.
    pub turned: usize,
}

impl<'i, I: Sync> Batch<'i, I> {
    /// Prepares the picture that `open` makes of each of `items`.
    pub fn read<'p>(
        items: &'i [I],
        preprocessing: &Preprocessing,
        open: impl Fn(&I) -> Result<Picture<'p>, Error> + Sync,
    ) -> Result<Self> {
        let (failures, turned) = (Mutex::new(BTreeMap::new()), AtomicUsize::new(0));
        let places: Vec<usize> = (0..items.len()).collect();
        let images = preprocessing.batch_of(&places, |&place, out| {
            let prepared = open(&items[place]).and_then(|picture| {
                turned.fetch_add(usize::from(picture.orientation() != 1), Ordering::Relaxed);
                preprocessing.apply(&picture, out)
            });
            if let Err(error) = prepared {
                failures.lock().expect("no thread panics with it").insert(place, error);
            }
            anyhow::Ok(())
        })?;
        let failures = failures.into_inner().expect("no thread panics with it");
        Ok(Self { items, images, failures, turned: turned.into_inner() })
    }
}

/// A progress bar, for more pictures than one batch, where stderr is a terminal.
pub fn progress(pictures: usize, batch: usize) -> ProgressBar {
    if pictures <= batch {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {per_sec}  {eta} left");
    ProgressBar::new(pictures as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
