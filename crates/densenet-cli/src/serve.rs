//! `densenet serve`.

mod batcher;
mod body;
mod decoders;
mod inference;
mod listener;
mod model;
mod packed;
mod predict;
mod refusal;
mod rest;
mod server;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;

use self::batcher::Gathering;
use self::decoders::Decoders;
use self::model::Served;
use self::refusal::Refusal;
use self::server::{Limits, Server};
use crate::max_pixels::MaxPixels;
use crate::output::{self, Misuse};
use crate::preparing::Preparing;
use crate::reading::Reading;
use crate::threads::Threads;

/// How long a client may pause within a body.
const PAUSE: Duration = Duration::from_secs(10);

/// Answers requests over HTTP: the Open Inference Protocol (KServe v2, Triton), and pictures to /predict
#[derive(Args)]
#[command(after_help = "Example: densenet serve --weights cifar10\n\
    then:    curl --data-binary @photo.jpg http://127.0.0.1:8080/predict\n\
    or:      densenet serve --weights birds.safetensors --name birds --also pets=pets.safetensors")]
pub struct Serve {
    /// A weight file (safetensors, or a PyTorch checkpoint), or the name of a built-in model; of several, the mean of their
    /// probabilities is taken
    #[arg(long, value_name = "W[,W...]", value_delimiter = ',', required = true)]
    weights: Vec<PathBuf>,
    /// How requests call the network of --weights
    #[arg(long, value_name = "NAME", default_value = "densenet", value_parser = model_name)]
    name: String,
    /// A weight file that is served under a name of its own, beside others
    #[arg(long, value_name = "NAME=W", value_parser = named_weights)]
    also: Vec<(String, PathBuf)>,
    /// The address to listen at
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// The port of HTTP; 0 for any that is free
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
    /// Inputs that go through the network together
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    max_batch: u16,
    /// Milliseconds that an input waits for others to share a batch with
    #[arg(long, value_name = "MS", default_value_t = 0)]
    max_delay: u16,
    /// Inputs that may wait, and requests that may be under way; more are refused
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    max_queue: u16,
    /// Bytes of a request's body, decompressed
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20, value_parser = clap::value_parser!(u32).range(1..))]
    max_body: u32,
    /// Connections at a time
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: u16,
    /// Seconds after which a request that has no answer gets none
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    timeout: u16,
    #[command(flatten)]
    max_pixels: MaxPixels,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    preparing: Preparing,
}

impl Serve {
    pub fn run(self) -> Result<ExitCode> {
        let threads = self.threads.start()?;
        let models = self.models()?;
        let server = Arc::new(Server::new(models, Decoders::start(threads)?, self.limits()));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.context("starting the thread that talks to clients")?.block_on(self.serve(server))
    }

    /// The models of the command line.
    fn models(&self) -> Result<Vec<Served>> {
        let first = (self.name.clone(), self.weights.clone());
        let others = self.also.iter().map(|(name, path)| (name.clone(), vec![path.clone()]));
        let all: Vec<_> = std::iter::once(first).chain(others).collect();
        for (place, (name, _)) in all.iter().enumerate() {
            if all[..place].iter().any(|(other, _)| other == name) {
                return Err(Misuse(format!("two models are called {name}; give each a name of its own")).into());
            }
        }
        let gathering = Gathering {
            max_batch: self.max_batch.into(),
            max_delay: Duration::from_millis(self.max_delay.into()),
            max_waiting: self.max_queue.into(),
        };
        let load = |(name, paths): (String, Vec<PathBuf>)| {
            let networks = self.reading.load_all(&paths, &self.preparing)?;
            Served::new(name, networks, gathering, self.max_pixels.get())
        };
        all.into_iter().map(load).collect()
    }

    fn limits(&self) -> Limits {
        let body = self.max_body as usize;
        Limits {
            requests: self.max_queue.into(),
            body,
            // Several of the largest at the same time, and any number of small ones.
            bodies: 4 * body,
            timeout: Duration::from_secs(self.timeout.into()),
        }
    }

    /// Serves until it is told to end.
    async fn serve(&self, server: Arc<Server>) -> Result<ExitCode> {
        let address = SocketAddr::new(self.host, self.port);
        let listener = TcpListener::bind(address).await.with_context(|| format!("listening at {address}"))?;
        let names: Vec<&str> = server.models().iter().map(|model| &*model.name).collect();
        output::note(format_args!("serving {} at http://{}", names.join(", "), listener.local_addr()?));
        let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("listening for Ctrl-C")?;
        let ended = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        listener::serve(listener, router(server.clone()), server, self.max_connections.into(), ended).await;
        Ok(ExitCode::SUCCESS)
    }
}

/// Everything that is answered.
fn router(server: Arc<Server>) -> Router {
    let nothing = async |uri: Uri| Refusal::NotFound(format!("{}: there is nothing here", uri.path()));
    let not_so =
        async |method: Method, uri: Uri| Refusal::Method(format!("{}: {method} is not taken here", uri.path()));
    Router::new()
        .merge(rest::routes())
        .merge(predict::routes())
        .fallback(nothing)
        .method_not_allowed_fallback(not_so)
        .layer(DefaultBodyLimit::disable())
        .layer(RequestDecompressionLayer::new())
        .layer(RequestBodyTimeoutLayer::new(PAUSE))
        .layer(CompressionLayer::new())
        .with_state(server)
}

/// A name as it may stand in an address.
fn model_name(name: &str) -> Result<String, String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    match !name.is_empty() && name.chars().all(plain) {
        true => Ok(name.into()),
        false => Err("a model's name is of letters, digits, dots, hyphens and underscores".into()),
    }
}

fn named_weights(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("it must be NAME=W, as pets=pets.safetensors")?;
    Ok((model_name(name)?, path.into()))
}
