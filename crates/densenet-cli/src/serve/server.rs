//! What all requests share: the models, the metrics, and the limits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::Result;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use super::error::Refusal;
use super::metrics::Metrics;
use super::room::{Held, Room};
use super::served::Served;

/// Models by name.
pub type Models = BTreeMap<String, Arc<Served>>;

/// Limits for one request, and for all requests together.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most bytes in a request's body.
    pub max_body: usize,
    /// The most bytes in the bodies of all requests that are being served.
    pub max_bodies: usize,
    /// The most pixels in a picture.
    pub max_pixels: usize,
    /// How long a small body may take to arrive.
    pub body_timeout: Duration,
}

/// The server's name, also used as the platform of its models.
pub const NAME: &str = "densenet";

/// The supported extensions of the protocol.
pub const EXTENSIONS: [&str; 5] =
    ["classification", "model_repository", "model_configuration", "statistics", "binary_tensor_data"];

/// What all requests share.
pub struct Server {
    models: RwLock<Models>,
    /// The metrics.
    pub metrics: Metrics,
    /// The limits.
    pub limits: Limits,
    /// Threads that decode pictures.
    pub decoders: Arc<Semaphore>,
    /// Memory for bodies.
    pub room: Room,
    token: Option<Vec<u8>>,
    draining: AtomicBool,
}

impl Server {
    /// Serves `models` to clients that send the `token`, if there is one.
    pub fn new(models: Models, metrics: Metrics, limits: Limits, decoders: usize, token: Option<Vec<u8>>) -> Self {
        Self {
            models: RwLock::new(models),
            metrics,
            limits,
            decoders: Arc::new(Semaphore::new(decoders)),
            room: Room::new(limits.max_body, limits.max_bodies),
            token,
            draining: AtomicBool::new(false),
        }
    }

    /// The current models.
    pub fn models(&self) -> Models {
        self.models.read().expect("no thread panics with it").clone()
    }

    /// The model with this name; the only version is 1.
    ///
    /// # Errors
    /// If there is none.
    pub fn model(&self, name: &str, version: Option<&str>) -> Result<Arc<Served>, Refusal> {
        let models = self.models.read().expect("no thread panics with it");
        let model = models.get(name).ok_or_else(|| Refusal::unknown(name))?;
        match version {
            None | Some("" | super::metrics::VERSION) => Ok(model.clone()),
            Some(version) => Err(Refusal {
                reason: format!("model {name:?} has version 1 only, not {version:?}"),
                ..Refusal::unknown(name)
            }),
        }
    }

    /// Serves other models from now on. Requests to the previous models are still completed by them.
    pub fn replace(&self, models: Models) {
        *self.models.write().expect("no thread panics with it") = models;
    }

    /// Admits a request; it counts as being served as long as the returned value lives.
    ///
    /// # Errors
    /// A server that is shutting down.
    pub fn admit(&self) -> Result<Admitted, Refusal> {
        if !self.is_ready() {
            return Err(Refusal::draining());
        }
        self.metrics.in_flight.inc();
        Ok(Admitted { body: self.room.empty(), in_flight: self.metrics.in_flight.clone() })
    }

    /// The most inputs that a request may have: as many as its body can hold as tensors. Pictures are smaller than the
    /// tensors made from them.
    pub fn most_inputs(&self, model: &Served) -> usize {
        (self.limits.max_body / (size_of::<f32>() * model.input().iter().product::<usize>())).max(1)
    }

    /// Stops admitting requests.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Whether requests are admitted.
    pub fn is_ready(&self) -> bool {
        !self.draining.load(Ordering::SeqCst)
    }

    /// Whether a client that sends `token` may be served. The comparison takes the same time wherever tokens differ.
    pub fn knows(&self, token: Option<&[u8]>) -> bool {
        match &self.token {
            None => true,
            Some(own) => token.is_some_and(|token| own.ct_eq(token).into()),
        }
    }
}

/// A request that is being served.
pub struct Admitted {
    /// The memory of its body.
    pub body: Held,
    in_flight: prometheus::IntGauge,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.in_flight.dec();
    }
}
