//! Connections, and how many there may be at a time.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Files that the server has open besides its connections.
const OTHER_FILES: u64 = 64;

/// The number of connections that the system allows at a time, after raising the limit of open files as far as
/// possible.
pub fn allowed() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let files = if raised.is_ok() { limit.maximum } else { limit.current };
    files.map_or(usize::MAX, |files| files.saturating_sub(OTHER_FILES).max(1) as usize)
}

/// Places for connections, of HTTP and gRPC together.
#[derive(Clone)]
pub struct Connections {
    places: Arc<Semaphore>,
    patience: Duration,
    silence: Option<Duration>,
}

impl Connections {
    /// `most` places. A client that reads nothing for `patience` loses its place.
    pub fn new(most: usize, patience: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(most)), patience, silence: None }
    }

    /// The same places; a client that sends nothing for `silence` loses its place, too.
    pub fn closing_after(self, silence: Duration) -> Self {
        Self { silence: Some(silence), ..self }
    }

    /// The connection with its place, or `None`, with the connection closed, if all places are taken.
    pub fn admit(&self, stream: TcpStream) -> Option<Connection> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        // Replies are small, and should not wait for more data to send.
        stream.set_nodelay(true).ok()?;
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.patience));
        stream.set_read_timeout(self.silence);
        Some(Connection { stream: Box::pin(stream), _place: place })
    }
}

impl<S> Accept<TcpStream, S> for Connections {
    type Stream = Connection;
    type Service = S;
    type Future = Ready<io::Result<(Connection, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let connection = self.admit(stream).ok_or_else(|| io::Error::other("there are too many connections"));
        ready(connection.map(|connection| (connection, service)))
    }
}

/// A connection, which keeps its place until it is closed.
pub struct Connection {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    _place: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.get_ref().connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_read(context, to)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(context)
    }
}
