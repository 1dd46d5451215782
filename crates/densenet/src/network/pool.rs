//! The threads that a pass runs on.

/// Runs `work` on a thread of the current pool, so that each operation's pieces are claimed without going through a queue.
pub(super) fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match rayon::current_thread_index() {
        Some(_) => work(),
        None => rayon::scope(|_| work()),
    }
}
