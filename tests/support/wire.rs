//! One end of a connection: octets out, messages in.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ServerConfig};

use super::HANG_GUARD;
use super::message::{Body, End, Fields, Framing, Head, field, latin1};
use super::transport::Transport;

/// What may be under way from one end to the other when nobody takes it: two sockets' buffers on
/// each side of the proxy, as large as the kernel lets them grow, and what the proxy holds itself.
pub fn in_flight_max() -> usize {
    const PROXY_MAX: usize = 8 * 1024 * 1024;
    let largest = |name: &str| -> usize {
        let limits = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap();
        limits.split_whitespace().next_back().unwrap().parse().unwrap()
    };
    2 * (largest("tcp_rmem") + largest("tcp_wmem")) + PROXY_MAX
}

/// A socket with the octets that were read too far.
#[derive(Debug)]
pub struct Wire {
    stream: Transport,
    buffer: Vec<u8>,
}

impl Wire {
    /// Takes a connection over.
    pub fn new(stream: TcpStream) -> Wire {
        stream.set_read_timeout(Some(HANG_GUARD)).unwrap();
        stream.set_write_timeout(Some(HANG_GUARD)).unwrap();
        stream.set_nodelay(true).unwrap();
        Wire { stream: Transport::Plain(stream), buffer: Vec::new() }
    }

    /// As [`Wire::new`], but waits for octets without end: for a peer that others cut off.
    pub fn patient(stream: TcpStream) -> Wire {
        let wire = Wire::new(stream);
        wire.stream().set_read_timeout(None).unwrap();
        wire
    }

    /// Connects to an address.
    pub fn connect(address: SocketAddr) -> Wire {
        Wire::new(TcpStream::connect(address).expect("somebody listens"))
    }

    /// The socket itself.
    pub fn stream(&self) -> &TcpStream {
        self.stream.socket()
    }

    /// Goes on within TLS, as the server. What goes wrong in the handshake is seen by who reads.
    pub fn accept_tls(self, config: Arc<ServerConfig>) -> Wire {
        assert!(self.buffer.is_empty(), "octets before TLS: {:?}", latin1(&self.buffer));
        Wire { stream: self.stream.accept_tls(config), ..self }
    }

    /// Goes on within TLS, as a client of the server with this name.
    pub fn connect_tls(self, config: Arc<ClientConfig>, name: &str) -> Wire {
        assert!(self.buffer.is_empty(), "octets before TLS: {:?}", latin1(&self.buffer));
        Wire { stream: self.stream.connect_tls(config, name), ..self }
    }

    /// Shakes hands within TLS, which otherwise waits for the first octets.
    pub fn shake_hands(&mut self) {
        self.stream.shake_hands().expect("a handshake");
    }

    /// Shakes hands within TLS, each octet in a segment of its own.
    pub fn hand_over_octet_by_octet(&mut self) {
        self.stream.shake_hands_bytewise().expect("a handshake");
    }

    /// Sends octets; false if the peer has closed. That is no failure of the test: what a peer
    /// says is looked at, not whether it listens.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        match self.stream.write_all(bytes.as_ref()) {
            Ok(()) => true,
            Err(error) if is_closed(&error) => false,
            Err(error) => panic!("sending: {error}"),
        }
    }

    /// Sends at most these octets, until nobody has taken any for `patience`; gives how many.
    pub fn send_while_taken(&mut self, bytes: &[u8], patience: Duration) -> usize {
        self.stream().set_write_timeout(Some(patience)).unwrap();
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(length) => sent += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_nobody_reads) => break,
            }
        }
        self.stream().set_write_timeout(Some(HANG_GUARD)).unwrap();
        sent
    }

    /// Says that nothing more will be sent.
    pub fn half_close(&mut self) {
        // The peer may have closed already.
        drop(self.stream.half_close());
    }

    /// Makes dropping the connection a reset.
    pub fn reset_on_drop(&self) {
        socket2::SockRef::from(self.stream()).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Reads a head; `Err` with what there was when the connection ended before its end.
    pub fn head(&mut self) -> Result<Head, (Vec<u8>, End)> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|octets| octets == b"\r\n\r\n") {
                let raw: Vec<u8> = self.buffer.drain(..at + 4).collect();
                return Ok(Head::parse(&raw));
            }
            if let Err(end) = self.fill() {
                return Err((std::mem::take(&mut self.buffer), end));
            }
        }
    }

    /// Reads the content that a head announces.
    pub fn body(&mut self, framing: Framing) -> Body {
        match framing {
            Framing::None => Body::none(),
            Framing::Length(length) => self.exactly(length),
            Framing::Chunked => self.chunked(),
        }
    }

    /// Reads so many octets.
    pub fn exactly(&mut self, length: usize) -> Body {
        let end = self.fill_to(length);
        let taken = length.min(self.buffer.len());
        Body { bytes: self.buffer.drain(..taken).collect(), end, ..Body::none() }
    }

    /// Reads until the peer closes.
    pub fn until_close(&mut self) -> Body {
        let end = loop {
            match self.fill() {
                Ok(()) => {}
                Err(End::Short) => break End::Clean,
                Err(end) => break end,
            }
        };
        Body { bytes: std::mem::take(&mut self.buffer), end, ..Body::none() }
    }

    /// Waits until the peer closes; whether it said nothing before that.
    pub fn is_closed(&mut self) -> bool {
        self.until_close().bytes.is_empty()
    }

    /// Whether octets or the end are there now.
    pub fn is_answered(&mut self) -> bool {
        self.stream().set_nonblocking(true).unwrap();
        let peeked = self.stream().peek(&mut [0]);
        self.stream().set_nonblocking(false).unwrap();
        !self.buffer.is_empty() || !matches!(peeked, Err(error) if is_timeout(&error))
    }

    /// Whether octets come, or the end, within a time. For waits whose end another thread has
    /// to bring about in steps.
    pub fn is_answered_within(&mut self, patience: Duration) -> bool {
        self.stream().set_read_timeout(Some(patience)).unwrap();
        let peeked = self.stream().peek(&mut [0]);
        self.stream().set_read_timeout(Some(HANG_GUARD)).unwrap();
        !self.buffer.is_empty() || !matches!(peeked, Err(error) if is_timeout(&error))
    }

    /// Whether the peer closes within a time; what it says before is kept.
    pub fn is_closed_within(&mut self, patience: Duration) -> bool {
        self.stream().set_read_timeout(Some(patience)).unwrap();
        let mut room = [0; 4096];
        let closed = loop {
            match self.stream.read(&mut room) {
                Ok(0) => break true,
                Ok(length) => self.buffer.extend_from_slice(&room[..length]),
                Err(error) => break !is_timeout(&error),
            }
        };
        self.stream().set_read_timeout(Some(HANG_GUARD)).unwrap();
        closed
    }

    fn chunked(&mut self) -> Body {
        let mut body = Body::none();
        body.end = loop {
            let Some(size) = self.line() else { break self.ended() };
            let Ok(size) = usize::from_str_radix(&size, 16) else { break End::Short };
            if size == 0 {
                match self.trailers() {
                    Some(trailers) => body.trailers = trailers,
                    None => break self.ended(),
                }
                break End::Clean;
            }
            let mut chunk = self.exactly(size);
            body.bytes.append(&mut chunk.bytes);
            body.chunks.push(size);
            if chunk.end != End::Clean {
                break chunk.end;
            }
            match self.line() {
                Some(line) if line.is_empty() => {}
                Some(_) => break End::Short,
                None => break self.ended(),
            }
        };
        body
    }

    fn trailers(&mut self) -> Option<Fields> {
        let mut trailers = Vec::new();
        loop {
            match self.line()? {
                line if line.is_empty() => return Some(trailers),
                line => trailers.push(field(&line)),
            }
        }
    }

    /// One line without its CRLF.
    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|octets| octets == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Some(latin1(&line[..at]));
            }
            self.fill().ok()?;
        }
    }

    /// How the connection has ended, once reading from it has failed.
    fn ended(&mut self) -> End {
        self.fill().err().unwrap_or(End::Short)
    }

    fn fill_to(&mut self, length: usize) -> End {
        while self.buffer.len() < length {
            if let Err(end) = self.fill() {
                return end;
            }
        }
        End::Clean
    }

    fn fill(&mut self) -> Result<(), End> {
        let mut room = [0; 64 * 1024];
        match self.stream.read(&mut room) {
            Ok(0) => Err(End::Short),
            Ok(length) => {
                self.buffer.extend_from_slice(&room[..length]);
                Ok(())
            }
            // A read with a deadline is not resumed by itself behind a signal.
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) if is_closed(&error) => Err(End::Reset),
            Err(error) if is_timeout(&error) => {
                panic!("nothing came within {HANG_GUARD:?}, behind {:?}", latin1(&self.buffer))
            }
            Err(error) => panic!("reading: {error}"),
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    use ErrorKind as E;
    // Within TLS: an end without its alert, and a handshake that failed.
    let within_tls = matches!(error.kind(), E::UnexpectedEof | E::InvalidData);
    within_tls || matches!(error.kind(), E::ConnectionReset | E::BrokenPipe | E::ConnectionAborted)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
