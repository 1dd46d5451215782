//! What all requests share: the models, what is counted, and how much is taken on at a time.

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

/// How much one request, and all requests together, may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's body.
    pub max_body: usize,
    /// Bytes of the bodies of all requests that are being served.
    pub max_bodies: usize,
    /// Pixels of a picture.
    pub max_pixels: usize,
    /// How long a small body may take to arrive.
    pub body_timeout: Duration,
}

/// What the server calls itself, and what its models run on.
pub const NAME: &str = "densenet";

/// Extensions of the protocol that there are.
pub const EXTENSIONS: [&str; 5] =
    ["classification", "model_repository", "model_configuration", "statistics", "binary_tensor_data"];

/// What all requests share.
pub struct Server {
    models: RwLock<Models>,
    /// What is counted.
    pub metrics: Metrics,
    /// How much is taken on.
    pub limits: Limits,
    /// Threads that decode pictures.
    pub decoders: Arc<Semaphore>,
    /// Memory for bodies.
    pub room: Room,
    token: Option<Vec<u8>>,
    draining: AtomicBool,
}

impl Server {
    /// Serves `models` to clients that know the `token`, if there is one.
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

    /// The models as they are now.
    pub fn models(&self) -> Models {
        self.models.read().expect("no thread panics with it").clone()
    }

    /// The model of that name; the only version is 1.
    ///
    /// # Errors
    /// There is none.
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

    /// Serves other models from now on. Requests of those before are finished by them.
    pub fn replace(&self, models: Models) {
        *self.models.write().expect("no thread panics with it") = models;
    }

    /// Takes on a request; it is served as long as what is returned lives.
    ///
    /// # Errors
    /// A server that is about to end.
    pub fn admit(&self) -> Result<Admitted, Refusal> {
        if !self.is_ready() {
            return Err(Refusal::draining());
        }
        self.metrics.in_flight.inc();
        Ok(Admitted { body: self.room.empty(), in_flight: self.metrics.in_flight.clone() })
    }

    /// Inputs that a request may have: as many as its body can hold where they are tensors. Pictures are smaller than the
    /// tensors that are made of them.
    pub fn most_inputs(&self, model: &Served) -> usize {
        (self.limits.max_body / (size_of::<f32>() * model.input().iter().product::<usize>())).max(1)
    }

    /// Takes on no more requests.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Whether requests are taken on.
    pub fn is_ready(&self) -> bool {
        !self.draining.load(Ordering::SeqCst)
    }

    /// Whether a client that sends `token` may be served. Tokens are compared in the same time wherever they differ.
    pub fn knows(&self, token: Option<&[u8]>) -> bool {
        match &self.token {
            None => true,
            Some(own) => token.is_some_and(|token| own.ct_eq(token).into()),
        }
    }
}

/// A request that is being served.
pub struct Admitted {
    /// What its body takes.
    pub body: Held,
    in_flight: prometheus::IntGauge,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.in_flight.dec();
    }
}
