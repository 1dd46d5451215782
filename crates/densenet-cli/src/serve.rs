//! `densenet serve`.

mod arriving;
mod batcher;
mod body;
mod connections;
#[cfg(test)]
mod damage;
mod error;
mod grpc;
mod infer;
mod json;
mod log;
mod metrics;
mod plain;
mod room;
mod served;
mod server;
mod tensors;
mod tls;
#[cfg(feature = "otel")]
mod traces;
mod v2;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum_server::Handle;
use clap::Args;
use futures_util::StreamExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tonic::server::NamedService;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate, SizeAbove};
use tower_http::map_request_body::MapRequestBodyLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;

use self::batcher::Batching;
use self::connections::Connections;
use self::error::Refusal;
use self::log::Log;
use self::metrics::Metrics;
use self::served::{Machine, Served};
use self::server::{Limits, Models, Server};
use self::tls::Tls;
use crate::max_pixels::MaxPixels;
use crate::output::{self, Misuse};
use crate::preparing::Preparing;
use crate::reading::Reading;
use crate::threads::Threads;

/// How long requests that are being served may take once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(30);

/// How long a client may take to send the head of a request, or a small body.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection of gRPC may be silent: clients reply to a ping more often than that.
const SILENCE: Duration = Duration::from_secs(20);

/// Connections at a time, by default.
const CONNECTIONS: usize = 1 << 14;

/// Requests at a time of one connection of gRPC.
const STREAMS: u32 = 128;

/// Serves predictions: the Open Inference Protocol (KServe v2) over HTTP and gRPC, POST /predict, and a page
#[derive(Args)]
#[command(after_help = "Example: densenet serve --weights runs/shirts/best.safetensors\n\
    or:      densenet serve --model-file cifar=cifar.safetensors --model-file fashion=fashion.safetensors --port 8000\n\
    then:    curl --data-binary @picture.jpg http://127.0.0.1:8080/predict")]
pub struct Serve {
    /// A weight file, or the name of a built-in model; with several, the mean of their probabilities is served
    #[arg(long, value_name = "W[,W...]", value_delimiter = ',', required_unless_present = "models")]
    weights: Vec<PathBuf>,
    /// What clients call the model of --weights
    #[arg(long, value_name = "NAME", default_value = "densenet")]
    name: String,
    /// One more model to serve; may be given several times
    #[arg(long = "model-file", value_name = "NAME=FILE", value_parser = named)]
    models: Vec<(String, PathBuf)>,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// The port for HTTP; 0 picks a free one
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
    /// The port for gRPC; 0 picks a free one [default: no gRPC]
    #[arg(long, value_name = "N")]
    grpc_port: Option<u16>,
    /// Most inputs that go through the network at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    max_batch: u16,
    /// How long a batch waits at most, in milliseconds, for requests that have arrived and are being decoded
    #[arg(long, value_name = "MS", default_value_t = 1)]
    max_delay: u16,
    /// Most inputs that are being prepared or waiting; requests beyond that are refused with 503
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    max_queue: u32,
    /// Largest body of a request in MiB; all bodies together may have 16 times as much
    #[arg(long, value_name = "MIB", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    max_body: u16,
    /// Most connections at a time; those beyond are closed at once [default: 16384, or as many as the system allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    max_connections: Option<u32>,
    /// A file with the token that clients must send, as Authorization: Bearer TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    tls: Tls,
    /// Log JSON objects instead of lines
    #[arg(long)]
    log_json: bool,
    #[command(flatten)]
    max_pixels: MaxPixels,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    preparing: Preparing,
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if is_name(name) && !file.is_empty() => Ok((name.into(), file.into())),
        _ => Err("it must be NAME=FILE, the name of letters, digits, - _ and .".into()),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

impl Serve {
    pub fn run(self) -> Result<ExitCode> {
        let threads = self.threads.start()?;
        if !is_name(&self.name) {
            return Err(Misuse(format!("--name {:?}; it takes letters, digits, - _ and .", self.name)).into());
        }
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the server")?;
        let _log = {
            let _context = runtime.enter();
            Log::start(self.log_json)?
        };
        let metrics = Metrics::new()?;
        let machine = Machine::default();
        let models = self.load(&metrics, &machine)?;
        let limits = Limits {
            max_body: usize::from(self.max_body) << 20,
            max_bodies: usize::from(self.max_body) << 24,
            max_pixels: self.max_pixels.get(),
            body_timeout: PATIENCE,
        };
        let server = Arc::new(Server::new(models, metrics, limits, threads, self.token()?));
        runtime.block_on(self.serve(server, machine))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Loads all models; the counts of those that are known already continue.
    fn load(&self, metrics: &Metrics, machine: &Machine) -> Result<Models> {
        let batching = Batching {
            max_batch: self.max_batch.into(),
            max_delay: Duration::from_millis(self.max_delay.into()),
            max_queue: self.max_queue as usize,
        };
        let own = (!self.weights.is_empty()).then(|| (self.name.clone(), self.weights.clone()));
        let others = self.models.iter().map(|(name, file)| (name.clone(), vec![file.clone()]));
        let mut models = Models::new();
        for (name, paths) in own.into_iter().chain(others) {
            let networks = self.reading.load_all(&paths, &self.preparing)?;
            let served = Served::start(&name, paths, networks, batching, metrics.of_model(&name), machine.clone())?;
            if let Some(other) = models.insert(name, Arc::new(served)) {
                return Err(Misuse(format!("two models are called {}", other.name)).into());
            }
        }
        Ok(models)
    }

    /// The token in `--token-file`.
    fn token(&self) -> Result<Option<Vec<u8>>> {
        let Some(path) = &self.token_file else {
            if !self.host.is_loopback() && !self.tls.is_given() {
                output::note(format_args!(
                    "warning: anybody who can reach {} can use this server; --token-file and --tls-cert with --tls-key \
                     protect it",
                    self.host
                ));
            }
            return Ok(None);
        };
        let text = crate::text::read(path).with_context(|| path.display().to_string())?;
        match text.trim() {
            "" => bail!("{}: no token is in it; it must hold one line", path.display()),
            token => Ok(Some(token.as_bytes().to_vec())),
        }
    }

    /// Serves until SIGTERM or Ctrl-C, and then until all requests are done.
    async fn serve(&self, server: Arc<Server>, machine: Machine) -> Result<()> {
        let (listener, bound) = self.listen(self.port)?;
        let scheme = if self.tls.is_given() { "https" } else { "http" };
        let grpc = self.grpc_port.map(|port| self.listen(port)).transpose()?;
        if let Some((_, bound)) = &grpc {
            output::note(format_args!("gRPC at {bound}"));
        }
        output::note(format_args!("serving {} at {scheme}://{bound}", names(&server)));
        let (handle, ended) = (Handle::new(), Arc::new(Notify::new()));
        let connections = Connections::new(self.places(), PATIENCE);
        let service = routes(server.clone()).into_make_service();
        let http = self.tls.serve(listener, handle.clone(), connections.clone(), service, PATIENCE);
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<grpc::Service>().await;
        let grpc = self.serve_grpc(grpc, health_service, connections, server.clone(), ended.clone());
        let drain = async {
            asked_to_end().await?;
            server.drain();
            for service in ["", grpc::Service::NAME] {
                health.set_service_status(service, ServingStatus::NotServing).await;
            }
            finish(&server).await;
            ended.notify_one();
            handle.graceful_shutdown(Some(Duration::from_secs(1)));
            Ok(())
        };
        let served = async { tokio::try_join!(http, grpc, drain).map(drop) };
        tokio::select! {
            outcome = served => outcome,
            never = self.reload(server.clone(), machine) => never,
        }
    }

    /// Connections at a time.
    fn places(&self) -> usize {
        let allowed = connections::allowed();
        let wanted = self.max_connections.map(|wanted| wanted as usize);
        if let Some(wanted) = wanted.filter(|&wanted| wanted > allowed) {
            output::note(format_args!(
                "warning: {allowed} connections at a time instead of {wanted}: the limit of open files (ulimit -Hn) allows no \
                 more"
            ));
        }
        wanted.unwrap_or(CONNECTIONS).min(allowed)
    }

    fn listen(&self, port: u16) -> Result<(std::net::TcpListener, SocketAddr)> {
        let address = SocketAddr::new(self.host, port);
        let listener = std::net::TcpListener::bind(address).with_context(|| format!("listening on {address}"))?;
        listener.set_nonblocking(true).context("listening")?;
        let bound = listener.local_addr().context("listening")?;
        Ok((listener, bound))
    }

    /// Serves gRPC, if requested, until it is `ended`.
    async fn serve_grpc(
        &self,
        listener: Option<(std::net::TcpListener, SocketAddr)>,
        health: HealthServer<impl Health>,
        connections: Connections,
        server: Arc<Server>,
        ended: Arc<Notify>,
    ) -> Result<()> {
        let Some((listener, _)) = listener else { return Ok(()) };
        let listener = tokio::net::TcpListener::from_std(listener).context("listening")?;
        // A client that vanishes without closing its connection frees its place.
        let mut builder = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(PATIENCE))
            .max_concurrent_streams(Some(STREAMS));
        if let Some(config) = self.tls.of_grpc()? {
            builder = builder.tls_config(config).context("TLS of gRPC")?;
        }
        let connections = connections.closing_after(SILENCE);
        let own = server.clone();
        let replied = log::replied::<tonic::body::Body>;
        let logged = TraceLayer::new_for_grpc().make_span_with(log::span::<tonic::body::Body>).on_response(replied);
        let mut builder = builder
            .layer(SetRequestIdLayer::new(log::ID, MakeRequestUuid))
            .layer(PropagateRequestIdLayer::new(log::ID))
            .layer(logged.on_failure(()).on_eos(()))
            .layer(MapRequestBodyLayer::new(move |body| grpc::bounded(&own, body)));
        let router = builder.add_service(health).add_service(grpc::service(server));
        let incoming = TcpIncoming::from(listener)
            .filter_map(move |stream| std::future::ready(stream.map(|stream| connections.admit(stream)).transpose()));
        router.serve_with_incoming_shutdown(incoming, ended.notified()).await.context("serving gRPC")
    }

    /// Reloads all models at each SIGHUP. Where one cannot be read, the previous ones stay in service.
    async fn reload(&self, server: Arc<Server>, machine: Machine) -> Result<()> {
        let mut hangup = signal(SignalKind::hangup()).context("waiting for SIGHUP")?;
        while hangup.recv().await.is_some() {
            match tokio::task::block_in_place(|| self.load(&server.metrics, &machine)) {
                Ok(models) => {
                    server.replace(models);
                    output::note(format_args!("reloaded {}", names(&server)));
                }
                Err(error) => output::complain("error; the previous models stay in service", &error),
            }
        }
        Ok(())
    }
}

fn names(server: &Server) -> String {
    server.models().into_keys().collect::<Vec<_>>().join(", ")
}

/// All addresses.
fn routes(server: Arc<Server>) -> Router {
    // Compressing small replies gains nothing, and MLServer's client does not decompress errors.
    let large = DefaultPredicate::new().and(SizeAbove::new(1 << 10));
    let protected = v2::routes().merge(plain::routes());
    let protected = protected.layer(middleware::from_fn_with_state(server.clone(), authorised));
    protected
        .merge(v2::health())
        .merge(plain::page())
        .fallback(|| async { Refusal { status: StatusCode::NOT_FOUND, reason: "there is nothing here".into() } })
        .method_not_allowed_fallback(|| async {
            Refusal { status: StatusCode::METHOD_NOT_ALLOWED, reason: "this address takes a different method".into() }
        })
        .with_state(server)
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(large))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(log::span::<Body>)
                .on_response(log::replied::<Body>)
                .on_failure(()),
        )
        .layer(PropagateRequestIdLayer::new(log::ID))
        .layer(SetRequestIdLayer::new(log::ID, MakeRequestUuid))
}

/// Serves clients that know the token.
async fn authorised(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION);
    let token = header.and_then(|header| header.as_bytes().strip_prefix(b"Bearer "));
    if server.knows(token) {
        return next.run(request).await;
    }
    ([(header::WWW_AUTHENTICATE, "Bearer")], Refusal::unauthorised()).into_response()
}

/// Waits for SIGTERM or Ctrl-C.
async fn asked_to_end() -> Result<()> {
    let mut term = signal(SignalKind::terminate()).context("waiting for SIGTERM")?;
    tokio::select! {
        _ = term.recv() => Ok(()),
        pressed = tokio::signal::ctrl_c() => pressed.context("waiting for Ctrl-C"),
    }
}

/// Waits until the requests that are being served are done.
async fn finish(server: &Server) {
    output::note("finishing the requests that are being served");
    let begun = tokio::time::Instant::now();
    while server.metrics.in_flight.get() > 0 && begun.elapsed() < DRAIN {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
