//! The log: a line per request, over HTTP or gRPC, with its id.

use std::time::Duration;

use anyhow::Result;
use axum::http::{HeaderName, Request, Response};
use tracing::Span;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

#[cfg(feature = "otel")]
use super::traces::Traces;

/// The header with a request's id.
pub const ID: HeaderName = HeaderName::from_static("x-request-id");

/// The log and, with the feature `otel`, traces, which are sent until this is dropped.
pub struct Log {
    #[cfg(feature = "otel")]
    _traces: Option<Traces>,
}

impl Log {
    /// Writes lines to stderr, in JSON if requested. Traces are sent from the tokio runtime in which this is called.
    ///
    /// # Errors
    /// Traces that cannot be sent.
    pub fn start(json: bool) -> Result<Self> {
        // The log is the only subscriber of the program, so setting it cannot fail.
        #[cfg(feature = "otel")]
        {
            let traces = Traces::start()?;
            let _ =
                tracing_subscriber::registry().with(lines(json)).with(traces.as_ref().map(Traces::layer)).try_init();
            Ok(Self { _traces: traces })
        }
        #[cfg(not(feature = "otel"))]
        {
            let _ = tracing_subscriber::registry().with(lines(json)).try_init();
            Ok(Self {})
        }
    }
}

fn lines(json: bool) -> impl Layer<Registry> {
    let filter = EnvFilter::try_from_env("DENSENET_LOG").unwrap_or_else(|_| "info".into());
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = if json { lines.json().boxed() } else { lines.with_ansi(false).boxed() };
    lines.with_filter(filter)
}

/// The fields that all lines of a request have.
pub fn span<B>(request: &Request<B>) -> Span {
    let id = request.headers().get(ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    let span = tracing::info_span!("request", method = %request.method(), path = %request.uri().path(), id);
    #[cfg(feature = "otel")]
    super::traces::follow(&span, request.headers());
    span
}

/// Logs the status of a reply; over gRPC, that is the gRPC status.
pub fn replied<B>(response: &Response<B>, took: Duration, _: &Span) {
    let grpc =
        response.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    // A refusal has its status in its head; a served request reports status 0 after its body.
    let code = || response.headers().get("grpc-status").and_then(|code| code.to_str().ok()?.parse().ok());
    let status = if grpc { code().unwrap_or(0) } else { response.status().as_u16() };
    tracing::info!(status, milliseconds = took.as_millis() as u64, "done");
}
