//! Which pictures of a split are not stored upright, among those read so far.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// Indices of pictures whose EXIF data say how to turn them upright; clones share the set.
#[derive(Clone, Debug, Default)]
pub(super) struct Turned(Arc<Mutex<HashSet<usize>>>);

impl Turned {
    /// Records that picture `index` has this EXIF `orientation`, of which 1 is upright.
    pub fn hear(&self, index: usize, orientation: u8) {
        if orientation != 1 {
            self.0.lock().expect("no thread panics with it").insert(index);
        }
    }

    /// How many there are, each counted once however often it was read.
    pub fn count(&self) -> usize {
        self.0.lock().expect("no thread panics with it").len()
    }
}
