//! Which pictures of a split are not stored upright, as far as they have been read.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// Indices of pictures that say by EXIF how they are to be turned; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Turned(Arc<Mutex<HashSet<usize>>>);

impl Turned {
    /// Picture `index` has that `orientation` of EXIF, of which 1 is upright.
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
