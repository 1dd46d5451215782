//! Memory for request bodies: the limit for each, and for all together.
//!
//! A body takes up memory as it arrives, so a client that only announces one takes none.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Refusal;

/// Bytes that one permit stands for.
const PERMIT: usize = 1 << 10;

/// Memory for bodies.
#[derive(Clone, Debug)]
pub struct Room {
    permits: Arc<Semaphore>,
    most: usize,
}

impl Room {
    /// Memory for bodies of `most` bytes each, and `of_all` together.
    pub fn new(most: usize, of_all: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(of_all / PERMIT)), most }
    }

    /// The memory of a body of which nothing has arrived.
    pub fn empty(&self) -> Held {
        Held { room: self.clone(), permits: None }
    }

    /// Rejects a body that is larger than allowed.
    ///
    /// # Errors
    /// If it is.
    pub fn check(&self, bytes: usize) -> Result<(), Refusal> {
        match bytes > self.most {
            true => Err(Refusal::too_large(format!("the body has more than {} bytes (--max-body)", self.most))),
            false => Ok(()),
        }
    }
}

/// The memory that a body takes up, until this is dropped.
#[derive(Debug)]
pub struct Held {
    room: Room,
    permits: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// Takes more memory until it is enough for `bytes` bytes.
    ///
    /// # Errors
    /// A body that is too large, or no free memory.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.room.check(bytes)?;
        let held = self.permits.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.div_ceil(PERMIT).saturating_sub(held);
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).expect("a body is smaller than 4 TiB");
        let more = self.room.permits.clone().try_acquire_many_owned(more).map_err(|_| Refusal::no_room())?;
        match &mut self.permits {
            Some(permits) => permits.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_take_room_as_they_grow_and_give_it_back() {
        let room = Room::new(8 << 10, 10 << 10);
        let (mut one, mut other) = (room.empty(), room.empty());
        assert_eq!(one.grow_to((8 << 10) + 1).unwrap_err().status, 413);
        one.grow_to(5000).unwrap();
        one.grow_to(6000).unwrap();
        other.grow_to(4 << 10).unwrap();
        assert_eq!(other.grow_to((4 << 10) + 1).unwrap_err().status, 503);
        drop(one);
        other.grow_to(8 << 10).unwrap();
    }
}
