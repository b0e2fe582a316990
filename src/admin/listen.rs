//! The admin listener: a port of its own, on the main thread's event loop, away from the workers.
//!
//! A connection carries one request. It is cheap enough for pages that are asked for every few
//! seconds, and it leaves no idle connections that would have to be limited.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::routes::router;
use super::status::Status;

/// Connections served at once; the number is arbitrary.
const CONNECTIONS_MAX: usize = 64;

/// How long the head of a request may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may take in all: who does not read its response must not keep a place.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(20);

/// The largest head, in bytes: arbitrary, well above what browsers send.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A bound admin listener.
#[derive(Debug)]
pub struct AdminListener {
    listener: TcpListener,
    address: SocketAddr,
}

/// Why the admin pages can't be served.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error(
        "{0}, where the admin pages are to be served, is in use; choose another port \
         with --admin, or --admin off"
    )]
    InUse(SocketAddr),
    #[error(
        "the admin pages can't be served on {0}: {1}; choose another address with --admin, or --admin off"
    )]
    Other(SocketAddr, io::Error),
}

/// Binds the admin listener.
pub fn bind_admin(wanted: SocketAddr) -> Result<AdminListener, AdminError> {
    let bind = || {
        let listener = TcpListener::bind(wanted)?;
        listener.set_nonblocking(true)?;
        Ok(AdminListener { address: listener.local_addr()?, listener })
    };
    bind().map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => AdminError::InUse(wanted),
        _ => AdminError::Other(wanted, error),
    })
}

impl AdminListener {
    /// Where it listens; port 0 has become a real one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves for as long as it is polled; needs a tokio `LocalSet`.
    pub async fn serve(self, status: Arc<Status>) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let router = router(status);
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        // The semaphore is never closed, so that there is always a slot in the end.
        while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let serving = serve_connection(stream, router.clone());
                    tokio::task::spawn_local(async move {
                        serving.await;
                        drop(slot);
                    });
                }
                // Out of descriptors, most likely: they come back.
                Err(error) => {
                    tracing::warn!(%error, "the admin listener can't accept");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        Ok(())
    }
}

async fn serve_connection(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection ended early"),
        Err(_elapsed) => tracing::debug!("an admin connection took too long"),
    }
}
