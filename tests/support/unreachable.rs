//! A peer that never answers: connections to it are neither accepted nor refused.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// A listener whose queue is full: the kernel ignores who comes next.
#[derive(Debug)]
pub struct Unreachable {
    /// Where it listens.
    pub address: SocketAddr,
    _listener: Socket,
    _queued: Vec<TcpStream>,
}

impl Unreachable {
    /// On a port of its own on 127.0.0.1.
    pub fn start() -> Unreachable {
        Unreachable::on((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// At this address.
    pub fn on(address: SocketAddr) -> Unreachable {
        let listener = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        // The kernel takes one or two more than it was told.
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
        let queued = std::iter::from_fn(connect).collect();
        Unreachable { address, _listener: listener, _queued: queued }
    }
}
