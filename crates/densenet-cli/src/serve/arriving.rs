//! Bodies as they arrive: they take up memory, and must not be slow.

use axum::body::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::{Duration, Instant, timeout_at};

use super::error::Refusal;
use super::room::Held;

/// Bytes that give a client another second: 256 kbit/s.
const BYTES_A_SECOND: u32 = 32 << 10;

/// A body that is arriving, a chunk at a time.
pub struct Arriving<S> {
    chunks: S,
    held: Held,
    bytes: usize,
    end: Instant,
}

impl<S, E> Arriving<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    /// The body in `chunks`, for which `held` grows. It has `patience` to arrive, and more time the more of it arrives.
    pub fn new(chunks: S, held: Held, patience: Duration) -> Self {
        Self { chunks, held, bytes: 0, end: Instant::now() + patience }
    }

    /// The next chunk, or the error of the connection; `None` at the end.
    ///
    /// # Errors
    /// A body that is too large, for which there is no memory, or that is too slow.
    pub async fn next(&mut self) -> Result<Option<Result<Bytes, E>>, Refusal> {
        let chunk = timeout_at(self.end, self.chunks.next()).await.map_err(|_| Refusal::slow())?;
        if let Some(Ok(chunk)) = &chunk {
            self.bytes += chunk.len();
            self.held.grow_to(self.bytes)?;
            self.end += Duration::from_secs(1) * chunk.len() as u32 / BYTES_A_SECOND;
        }
        Ok(chunk)
    }

    /// The rest that has not arrived yet, and the memory of the part that has.
    pub fn into_parts(self) -> (S, Held) {
        (self.chunks, self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    use futures_util::stream;

    use crate::serve::room::Room;

    /// How a body of eight chunks of 32 KiB ends if one arrives after each `pause`.
    async fn ended(pause: Duration) -> Result<(), Refusal> {
        let chunks = stream::unfold(0, move |sent| async move {
            tokio::time::sleep(pause).await;
            (sent < 8).then(|| (Ok::<_, Infallible>(Bytes::from(vec![0; 32 << 10])), sent + 1))
        });
        let held = Room::new(1 << 20, 1 << 20).empty();
        let mut body = Arriving::new(Box::pin(chunks), held, Duration::from_secs(2));
        while body.next().await?.is_some() {}
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_take_long_where_it_keeps_coming() {
        assert_eq!(ended(Duration::from_millis(1100)).await, Ok(()));
        assert_eq!(ended(Duration::from_millis(1500)).await, Err(Refusal::slow()));
    }
}
