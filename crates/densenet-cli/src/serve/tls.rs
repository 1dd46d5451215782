//! Encrypted connections, or plain ones.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::routing::IntoMakeService;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use clap::Args;
use hyper_util::rt::TokioTimer;
use tonic::transport::{Identity, ServerTlsConfig};

use super::connections::Connections;

/// The most bytes in a request's head.
const HEAD: usize = 64 << 10;

/// A certificate and its key.
#[derive(Args)]
pub struct Tls {
    /// A PEM file of the certificate, and of those that it is signed by
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// A PEM file of the certificate's key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl Tls {
    /// Whether connections are encrypted.
    pub fn is_given(&self) -> bool {
        self.tls_cert.is_some()
    }

    /// The same for gRPC; `None` if connections are plain.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn of_grpc(&self) -> Result<Option<ServerTlsConfig>> {
        let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        let read = |path: &PathBuf| std::fs::read(path).with_context(|| path.display().to_string());
        Ok(Some(ServerTlsConfig::new().identity(Identity::from_pem(read(cert)?, read(key)?))))
    }

    /// Serves connections to `listener`, in the places of `connections`, until `handle` ends it. A client has
    /// `patience` to send the head of a request.
    pub async fn serve(
        &self,
        listener: TcpListener,
        handle: Handle<SocketAddr>,
        connections: Connections,
        service: IntoMakeService<Router>,
        patience: Duration,
    ) -> Result<()> {
        let mut server = axum_server::from_tcp(listener)?.handle(handle).first_request_timeout(patience);
        let mut http1 = server.http_builder().http1();
        http1.timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(HEAD);
        let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) else {
            return server.acceptor(connections).serve(service).await.context("serving");
        };
        // A second provider is rejected, and the first stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let files = || format!("{} and {}", cert.display(), key.display());
        let config = RustlsConfig::from_pem_file(cert, key).await.with_context(files)?;
        server.acceptor(RustlsAcceptor::new(config).acceptor(connections)).serve(service).await.context("serving")
    }
}
