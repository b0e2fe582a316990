//! Listening sockets.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use crate::http::Scheme;

/// Connections that the kernel holds while no worker has taken them. Arbitrary; the system's
/// own limit caps it.
const BACKLOG: i32 = 4096;

/// Where clients connect, and how: `https` is within TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    pub scheme: Scheme,
    pub address: SocketAddr,
}

impl Listen {
    /// For connections without TLS.
    pub const fn http(address: SocketAddr) -> Listen {
        Listen { scheme: Scheme::Http, address }
    }

    /// For connections within TLS.
    pub const fn https(address: SocketAddr) -> Listen {
        Listen { scheme: Scheme::Https, address }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Scheme::Http => self.address.fmt(f),
            Scheme::Https => write!(f, "https://{}", self.address),
        }
    }
}

/// Listening sockets: for each worker one on every address.
#[derive(Debug)]
pub struct Bound {
    pub(super) by_worker: Vec<Vec<(Scheme, TcpListener)>>,
    pub(super) listening: Vec<Listen>,
}

impl Bound {
    /// Where they listen; port 0 has become a real one.
    pub fn listening(&self) -> &[Listen] {
        &self.listening
    }
}

/// Why an address can't be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("{0} is in use by another program; choose another port with --listen")]
    InUse(SocketAddr),
    #[error(
        "not allowed to listen on {0}: ports below 1024 need root or the capability CAP_NET_BIND_SERVICE"
    )]
    Denied(SocketAddr),
    #[error("{0} is not an address of this machine")]
    NotHere(SocketAddr),
    #[error("can't listen on {0}: {1}")]
    Other(SocketAddr, io::Error),
}

/// Binds every address once for each worker.
pub fn bind(all: &[Listen], workers: usize) -> Result<Bound, BindError> {
    let mut bound = Bound { by_worker: (0..workers).map(|_| Vec::new()).collect(), listening: Vec::new() };
    for &Listen { scheme, address: wanted } in all {
        let mut address = wanted;
        // An IPv6 listener takes IPv4 clients, too, unless another one is there for them.
        let mut others = all.iter().map(|other| other.address);
        let both = !others.any(|other| other.is_ipv4() && other.port() == wanted.port());
        if wanted.port() != 0 {
            // SO_REUSEPORT would let a second Larder share the port in silence: a socket
            // without it finds out whether the port is free.
            drop(listen(wanted, Sharing::Alone, both).map_err(|error| explain(wanted, error))?);
        }
        for listeners in &mut bound.by_worker {
            let listener =
                listen(address, Sharing::WithWorkers, both).map_err(|error| explain(wanted, error))?;
            address = listener.local_addr().map_err(|error| explain(wanted, error))?;
            listeners.push((scheme, listener));
        }
        bound.listening.push(Listen { scheme, address });
    }
    Ok(bound)
}

/// Raises the soft limit on descriptors to the hard one; gives the limit in force.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        return limit.maximum.unwrap_or(u64::MAX);
    }
    limit.current.unwrap_or(u64::MAX)
}

enum Sharing {
    Alone,
    WithWorkers,
}

fn listen(address: SocketAddr, sharing: Sharing, both_families: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!both_families)?;
    }
    if matches!(sharing, Sharing::WithWorkers) {
        socket.set_reuse_port(true)?;
    }
    // Accepted connections inherit it on Linux, which saves a system call for each.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn explain(address: SocketAddr, error: io::Error) -> BindError {
    match error.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse(address),
        io::ErrorKind::PermissionDenied => BindError::Denied(address),
        io::ErrorKind::AddrNotAvailable => BindError::NotHere(address),
        _ => BindError::Other(address, error),
    }
}
