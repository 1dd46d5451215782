//! Traces of requests for OpenTelemetry, sent by OTLP over gRPC. The usual environment variables (`OTEL_...`) say where
//! to.

use anyhow::{Context, Result};
use axum::http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{OTEL_EXPORTER_OTLP_ENDPOINT, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Subscriber;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::server::NAME;

/// Traces, which are sent until this is dropped.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// `None` if the environment does not say where to send traces.
    ///
    /// # Errors
    /// An invalid address.
    pub fn start() -> Result<Option<Self>> {
        if std::env::var_os(OTEL_EXPORTER_OTLP_ENDPOINT).is_none() {
            return Ok(None);
        }
        let exporter = SpanExporter::builder().with_tonic().build().context(OTEL_EXPORTER_OTLP_ENDPOINT)?;
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(NAME);
        }
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build());
        Ok(Some(Self(provider.build())))
    }

    /// The layer that turns spans into traces.
    pub fn layer<S: Subscriber + for<'span> LookupSpan<'span>>(&self) -> impl Layer<S> + use<S> {
        tracing_opentelemetry::layer().with_tracer(self.0.tracer(NAME)).with_filter(LevelFilter::INFO)
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            crate::output::note(format_args!("warning: the last traces were not sent: {error}"));
        }
    }
}

/// Makes `span` a part of the trace that the client names in `traceparent`, if it does.
pub fn follow(span: &Span, headers: &HeaderMap) {
    // It fails if no traces are sent.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&HeaderExtractor(headers)));
}
