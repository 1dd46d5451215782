//! What all requests share: the models, the threads that decode, and how much may be under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::decoders::Decoders;
use super::model::Served;
use super::refusal::Refusal;

/// Bytes that one permit of [`Server::memory`] stands for.
const UNIT: usize = 1 << 10;

/// What a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests under way at a time.
    pub requests: usize,
    /// Bytes of one request's body, once it is decompressed.
    pub body: usize,
    /// Bytes of the bodies of all requests that are under way.
    pub bodies: usize,
    /// From a request's first byte to its answer.
    pub timeout: Duration,
}

/// What all requests share.
pub struct Server {
    models: Vec<Arc<Served>>,
    /// Where pictures are decoded.
    pub decoders: Decoders,
    /// What a client may take.
    pub limits: Limits,
    requests: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    ending: AtomicBool,
}

impl Server {
    /// Serves `models`, at least one.
    pub fn new(models: Vec<Served>, decoders: Decoders, limits: Limits) -> Self {
        Self {
            models: models.into_iter().map(Arc::new).collect(),
            decoders,
            limits,
            requests: Arc::new(Semaphore::new(limits.requests)),
            memory: Arc::new(Semaphore::new(limits.bodies / UNIT)),
            ending: AtomicBool::new(false),
        }
    }

    /// All models, in the order of the command line.
    pub fn models(&self) -> &[Arc<Served>] {
        &self.models
    }

    /// The model of that name.
    ///
    /// # Errors
    /// A name that no model has.
    pub fn model(&self, name: &str) -> Result<Arc<Served>, Refusal> {
        let found = self.models.iter().find(|model| model.name == name);
        found.cloned().ok_or_else(|| Refusal::NotFound(format!("Request for unknown model: '{name}' is not found")))
    }

    /// The place of one more request, until it is dropped.
    ///
    /// # Errors
    /// As many requests as may be under way, or a server that ends.
    pub fn admit(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        if self.is_ending() {
            return Err(Refusal::Ending);
        }
        let most = self.limits.requests;
        let full = |_| Refusal::Busy(format!("{most} requests are under way; no more may be"));
        self.requests.clone().try_acquire_owned().map_err(full)
    }

    /// Memory for so many `bytes` more of a body, until it is dropped.
    ///
    /// # Errors
    /// More than all bodies together may take.
    pub fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let most = self.limits.bodies;
        let full = |_| Refusal::Busy(format!("the requests under way take {most} bytes; no more may be taken"));
        self.memory.clone().try_acquire_many_owned(units).map_err(full)
    }

    /// Takes no more requests from now on.
    pub fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }

    /// Whether no more requests are taken.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Waits until no request is under way.
    pub async fn idle(&self) {
        let all = u32::try_from(self.limits.requests).unwrap_or(u32::MAX);
        let _ = self.requests.acquire_many(all).await;
    }
}
