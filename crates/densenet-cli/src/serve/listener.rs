//! Connections: how many there may be, how long they may idle, and how they end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::server::Server;

/// How long a client may take for the head of a request, and a connection may idle.
const HEAD: Duration = Duration::from_secs(20);

/// How long the end waits for what is under way.
const END: Duration = Duration::from_secs(30);

/// Serves `router` to the clients of `listener` until `ended`; then finishes what is under way, and takes no more.
pub async fn serve(listener: TcpListener, router: Router, server: Arc<Server>, connections: usize, ended: impl Future) {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    http.http2().timer(TokioTimer::new()).keep_alive_interval(HEAD);
    let (places, graceful) = (Arc::new(Semaphore::new(connections)), GracefulShutdown::new());
    let accept = async {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                // Too many open files, or a client that has gone: others may come.
                Err(_) => {
                    sleep(Duration::from_millis(10)).await;
                    continue;
                }
            };
            // Beyond the limit a connection is closed at once.
            let Ok(place) = places.clone().try_acquire_owned() else { continue };
            let connection = http.serve_connection(io(stream), TowerToHyperService::new(router.clone()));
            let connection = graceful.watch(connection.into_owned());
            tokio::spawn(async move {
                let _place = place;
                // A client that breaks off is no error of ours.
                let _ = connection.await;
            });
        }
    };
    let draining = async {
        ended.await;
        server.end();
        // Until the last answer is out, whoever asks is told that the server ends.
        let _ = timeout(END, server.idle()).await;
    };
    tokio::select! {
        () = accept => {}
        () = draining => {}
    }
    drop(listener);
    let _ = timeout(Duration::from_secs(5), graceful.shutdown()).await;
}

fn io(stream: TcpStream) -> TokioIo<TcpStream> {
    // Answers are small, and nobody shall wait for more of them.
    let _ = stream.set_nodelay(true);
    TokioIo::new(stream)
}
