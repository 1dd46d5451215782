//! Metrics for Prometheus and for the protocol's statistics. Names are Triton's where it has one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::http::StatusCode;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use super::batcher::Done;
use super::error::Refusal;

/// The only version of a model.
pub const VERSION: &str = "1";

/// Everything that the server counts.
pub struct Metrics {
    registry: Registry,
    counters: [IntCounterVec; 7],
    failures: IntCounterVec,
    batch_size: HistogramVec,
    seconds: HistogramVec,
    /// Number of requests that are being served.
    pub in_flight: IntGauge,
}

/// The counters' names and descriptions, in the order of [`ModelMetrics`].
const COUNTERS: [(&str, &str); 7] = [
    ("nv_inference_request_success", "Requests that were served"),
    ("nv_inference_count", "Inputs that went through the network"),
    ("nv_inference_exec_count", "Batches that went through the network"),
    ("nv_inference_request_duration_us", "Time of served requests, in microseconds"),
    ("nv_inference_queue_duration_us", "Time of served requests in the queue, in microseconds"),
    ("nv_inference_compute_input_duration_us", "Time of decoding and preparing pictures, in microseconds"),
    ("nv_inference_compute_infer_duration_us", "Time of served requests in the network, in microseconds"),
];

/// Why requests are refused or fail, in Triton's terms: a full queue or a server that shuts down, a network that fails,
/// and everything else.
const REASONS: [&str; 3] = ["REJECTED", "BACKEND", "OTHER"];

impl Metrics {
    /// Metrics that start at zero.
    ///
    /// # Errors
    /// Two metrics with the same name.
    pub fn new() -> Result<Self> {
        let registry = Registry::new();
        let mut counters = Vec::new();
        for (name, help) in COUNTERS {
            let counter = IntCounterVec::new(Opts::new(name, help), &["model", "version"])?;
            registry.register(Box::new(counter.clone()))?;
            counters.push(counter);
        }
        let failures = Opts::new("nv_inference_request_failure", "Requests that were refused or failed");
        let failures = IntCounterVec::new(failures, &["model", "version", "reason"])?;
        registry.register(Box::new(failures.clone()))?;
        let sizes = (0..8).map(|power| f64::from(1 << power)).collect();
        let histogram = |name: &str, help: &str, buckets: Vec<f64>| -> Result<HistogramVec> {
            let histogram = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), &["model", "version"])?;
            registry.register(Box::new(histogram.clone()))?;
            Ok(histogram)
        };
        let batch_size = histogram("densenet_batch_size", "Inputs of a batch", sizes)?;
        let buckets = [1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0].to_vec();
        let seconds = histogram("densenet_request_seconds", "Time of served requests, in seconds", buckets)?;
        let in_flight = IntGauge::new("densenet_requests_in_flight", "Requests that are being served")?;
        registry.register(Box::new(in_flight.clone()))?;
        let counters = counters.try_into().expect("as many counters as names");
        Ok(Self { registry, counters, failures, batch_size, seconds, in_flight })
    }

    /// The metrics of the model `name`.
    pub fn of_model(&self, name: &str) -> Arc<ModelMetrics> {
        let labels = [name, VERSION];
        let [success, inputs, batches, request, queue, input, infer] =
            self.counters.each_ref().map(|counter| counter.with_label_values(&labels));
        let failures = REASONS.map(|reason| self.failures.with_label_values(&[name, VERSION, reason]));
        let (batch_size, seconds) =
            (self.batch_size.with_label_values(&labels), self.seconds.with_label_values(&labels));
        Arc::new(ModelMetrics { success, failures, inputs, batches, request, queue, input, infer, batch_size, seconds })
    }

    /// The metrics in Prometheus's text format.
    ///
    /// # Errors
    /// A metric that cannot be written.
    pub fn text(&self) -> Result<String> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }
}

/// The metrics of a model.
pub struct ModelMetrics {
    success: IntCounter,
    /// In the order of [`REASONS`].
    failures: [IntCounter; 3],
    inputs: IntCounter,
    batches: IntCounter,
    request: IntCounter,
    queue: IntCounter,
    input: IntCounter,
    infer: IntCounter,
    batch_size: prometheus::Histogram,
    seconds: prometheus::Histogram,
}

impl ModelMetrics {
    /// Records that a batch with this many inputs went through the network.
    pub fn batch(&self, inputs: usize) {
        self.inputs.inc_by(inputs as u64);
        self.batches.inc();
        self.batch_size.observe(inputs as f64);
    }

    /// Records that a request was served in the time `whole`, of which its pictures took `prepared`.
    pub fn served(&self, whole: Duration, prepared: Duration, done: &Done) {
        self.success.inc();
        self.seconds.observe(whole.as_secs_f64());
        for (counter, time) in
            [(&self.request, whole), (&self.input, prepared), (&self.queue, done.queued), (&self.infer, done.computed)]
        {
            counter.inc_by(microseconds(time));
        }
    }

    /// Records that a request was refused, or failed.
    pub fn failed(&self, refusal: &Refusal) {
        let [rejected, backend, other] = &self.failures;
        let failures = match refusal.status {
            StatusCode::SERVICE_UNAVAILABLE => rejected,
            StatusCode::INTERNAL_SERVER_ERROR => backend,
            _ => other,
        };
        failures.inc();
    }

    /// The statistics for the protocol.
    pub fn statistics(&self) -> Statistics {
        let nanoseconds = |time: &IntCounter| 1000 * time.get();
        Statistics {
            success: self.success.get(),
            failure: self.failures.iter().map(IntCounter::get).sum(),
            inputs: self.inputs.get(),
            batches: self.batches.get(),
            request: nanoseconds(&self.request),
            queue: nanoseconds(&self.queue),
            input: nanoseconds(&self.input),
            infer: nanoseconds(&self.infer),
        }
    }
}

/// Counts, and times of all served requests in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Statistics {
    /// Requests that were served.
    pub success: u64,
    /// Requests that were refused or failed.
    pub failure: u64,
    /// Inputs that went through the network.
    pub inputs: u64,
    /// Batches that went through the network.
    pub batches: u64,
    /// Time from arrival to reply.
    pub request: u64,
    /// Time in the queue.
    pub queue: u64,
    /// Time for decoding and preparing pictures.
    pub input: u64,
    /// Time in the network.
    pub infer: u64,
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
