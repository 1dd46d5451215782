//! The threads that pictures are decoded on.

use anyhow::{Context, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::oneshot;

use super::refusal::Refusal;

/// Threads beside those of inference and those that talk to clients, so that none of them waits for a picture.
pub struct Decoders(ThreadPool);

impl Decoders {
    /// So many threads.
    ///
    /// # Errors
    /// Threads that cannot be started.
    pub fn start(threads: usize) -> Result<Self> {
        let builder = ThreadPoolBuilder::new().num_threads(threads).thread_name(|number| format!("decoder {number}"));
        Ok(Self(builder.build().context("starting the threads that decode")?))
    }

    /// Does `work`, in the order of the calls; what nobody waits for any more is not begun.
    pub fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<R, Refusal> + Send + 'static,
    ) -> impl Future<Output = Result<R, Refusal>> {
        let (reply, outcome) = oneshot::channel();
        self.0.spawn_fifo(move || {
            if !reply.is_closed() {
                let _ = reply.send(work());
            }
        });
        async { outcome.await.map_err(|_| Refusal::Internal("a thread that decodes has ended".into()))? }
    }
}
