//! What octets go over: a socket as it is, or TLS on it. Blocking, as everything here.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};

/// A connection that can be read and written.
#[derive(Debug)]
pub enum Transport {
    Plain(TcpStream),
    Server(Box<StreamOwned<ServerConnection, Transport>>),
    Client(Box<StreamOwned<ClientConnection, Transport>>),
}

impl Transport {
    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Transport::Plain(stream) => stream,
            Transport::Server(stream) => stream.sock.socket(),
            Transport::Client(stream) => stream.sock.socket(),
        }
    }

    /// TLS on it, as the server.
    pub fn accept_tls(self, config: Arc<ServerConfig>) -> Transport {
        let session = ServerConnection::new(config).expect("a valid configuration");
        Transport::Server(Box::new(StreamOwned::new(session, self)))
    }

    /// TLS on it, as a client of the server with this name.
    pub fn connect_tls(self, config: Arc<ClientConfig>, name: &str) -> Transport {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let session = ClientConnection::new(config, name).expect("a valid configuration");
        Transport::Client(Box::new(StreamOwned::new(session, self)))
    }

    /// Shakes hands as a client.
    pub fn shake_hands(&mut self) -> io::Result<()> {
        let Transport::Client(stream) = self else { panic!("a client's side of TLS") };
        let StreamOwned { conn, sock } = &mut **stream;
        while conn.is_handshaking() || conn.wants_write() {
            conn.complete_io(sock)?;
        }
        Ok(())
    }

    /// Shakes hands as a client, each octet that leaves in a write of its own.
    pub fn shake_hands_bytewise(&mut self) -> io::Result<()> {
        let Transport::Client(stream) = self else { panic!("a client's side of TLS") };
        let StreamOwned { conn, sock } = &mut **stream;
        while conn.is_handshaking() {
            while conn.wants_write() {
                let mut octets = Vec::new();
                conn.write_tls(&mut octets)?;
                octets.iter().try_for_each(|octet| sock.write_all(&[*octet]))?;
            }
            if conn.wants_read() && conn.is_handshaking() {
                conn.read_tls(sock)?;
                conn.process_new_packets().map_err(io::Error::other)?;
            }
        }
        Ok(())
    }

    /// Says that nothing more will be sent.
    pub fn half_close(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(socket) => socket.shutdown(Shutdown::Write),
            Transport::Server(stream) => {
                stream.conn.send_close_notify();
                stream.flush()?;
                stream.sock.half_close()
            }
            Transport::Client(stream) => {
                stream.conn.send_close_notify();
                stream.flush()?;
                stream.sock.half_close()
            }
        }
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(stream) => stream.read(buffer),
            Transport::Server(stream) => stream.read(buffer),
            Transport::Client(stream) => stream.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(stream) => stream.write(octets),
            Transport::Server(stream) => stream.write(octets),
            Transport::Client(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(stream) => stream.flush(),
            Transport::Server(stream) => stream.flush(),
            Transport::Client(stream) => stream.flush(),
        }
    }
}
