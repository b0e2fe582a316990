//! A client with HTTP/2: the `h2` crate on a runtime of its own, as blocking as everything here.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::{Client, HANG_GUARD, Wire};

/// A connection with HTTP/2.
pub struct Http2 {
    runtime: Runtime,
    send: SendRequest<Bytes>,
}

/// A request whose response is still to be read.
pub struct Waiting(tokio::task::JoinHandle<Result<Answered, h2::Error>>);

/// A response on a stream.
#[derive(Debug)]
pub struct Answered {
    pub head: Response<()>,
    pub content: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl Answered {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status().as_u16()
    }

    /// The content as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.content).expect("the content is text")
    }

    /// The value of a field's first line; empty without one.
    pub fn field(&self, name: &str) -> &str {
        self.head.headers().get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// Whether it came from the store without a question to the origin.
    pub fn is_hit(&self) -> bool {
        self.field("cache-status").contains("; hit")
    }
}

impl Http2 {
    /// Speaks HTTP/2 within TLS over this socket, with the server of this name.
    pub fn within_tls(socket: TcpStream, mut config: ClientConfig, name: &str) -> Http2 {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a thread");
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let send = runtime.block_on(async {
            socket.set_nonblocking(true).expect("a socket");
            let socket = tokio::net::TcpStream::from_std(socket).expect("a socket");
            let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
            let stream = connector.connect(name, socket).await.expect("a handshake");
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let (send, connection) = h2::client::handshake(stream).await.expect("a handshake");
            tokio::spawn(async move {
                // It ends when either side has had enough.
                let _either_way = connection.await;
            });
            send
        });
        Http2 { runtime, send }
    }

    /// Asks for a URI.
    pub fn get(&mut self, url: &str) -> Answered {
        self.request(Request::get(url).body(()).expect("a request"), None).expect("a response")
    }

    /// Sends a request, with content if there is any, and reads the response.
    pub fn request(&mut self, request: Request<()>, content: Option<&[u8]>) -> Result<Answered, h2::Error> {
        let waiting = self.begin_with(request, content);
        self.finish(waiting)
    }

    /// Sends a request without content; the response is read by [`Http2::finish`].
    pub fn begin(&mut self, request: Request<()>) -> Waiting {
        self.begin_with(request, None)
    }

    /// As [`Http2::begin`], with content if there is any.
    pub fn begin_with(&mut self, request: Request<()>, content: Option<&[u8]>) -> Waiting {
        let content = content.map(Bytes::copy_from_slice);
        let ready = self.send.clone().ready();
        Waiting(self.runtime.spawn(async {
            let (response, stream) = ready.await?.send_request(request, content.is_none())?;
            if let Some(content) = content {
                tokio::spawn(send_all(stream, content));
            }
            let (head, mut stream) = response.await?.into_parts();
            let mut content = Vec::new();
            while let Some(piece) = stream.data().await {
                let piece = piece?;
                stream.flow_control().release_capacity(piece.len())?;
                content.extend_from_slice(&piece);
            }
            let trailers = stream.trailers().await?;
            Ok(Answered { head: Response::from_parts(head, ()), content, trailers })
        }))
    }

    /// Waits for a response.
    pub fn finish(&mut self, waiting: Waiting) -> Result<Answered, h2::Error> {
        let ended = self.runtime.block_on(async { timeout(HANG_GUARD, waiting.0).await });
        ended.expect("an answer in time").expect("no panic")
    }

    /// Sends a request whose stream stays open both ways, and waits for the head of its response.
    pub fn open(&mut self, request: Request<()>) -> Result<(Response<()>, Open<'_>), h2::Error> {
        let ready = self.send.clone().ready();
        let (response, send) = self.runtime.block_on(async {
            let (response, send) = ready.await?.send_request(request, false)?;
            Ok::<_, h2::Error>((timeout(HANG_GUARD, response).await.expect("an answer in time")?, send))
        })?;
        let (head, receive) = response.into_parts();
        Ok((Response::from_parts(head, ()), Open { runtime: &self.runtime, send, receive }))
    }

    /// A tunnel to this host and port on a stream: this end of it, as a socket is.
    pub fn tunnel(&mut self, authority: &str) -> Client {
        let (head, stream) = self.open(connect(authority)).expect("an answer");
        assert_eq!(head.status(), 200);
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let near = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        let far = listener.accept().expect("it is connected").0;
        far.set_nonblocking(true).expect("a socket");
        let Open { runtime, send, receive } = stream;
        runtime.spawn(async move {
            let (from, to) = tokio::net::TcpStream::from_std(far).expect("a socket").into_split();
            // What broke off ends both directions; the socket is closed with them.
            let _ended = tokio::try_join!(carry_up(from, send), carry_down(receive, to));
        });
        Client { wire: Wire::new(near) }
    }

    /// Forgets a request: its stream is reset.
    pub fn reset(&mut self, waiting: Waiting) {
        waiting.0.abort();
        self.runtime.block_on(waiting.0).expect_err("it was waiting");
    }

    /// The server's settings: does it let a stream open a tunnel with a protocol?
    pub fn has_extended_connect(&self) -> bool {
        self.send.is_extended_connect_protocol_enabled()
    }
}

/// A request for a tunnel (RFC 9113 §8.5).
pub fn connect(authority: &str) -> Request<()> {
    let uri = http::Uri::builder().authority(authority).build().expect("host and port");
    Request::connect(uri).body(()).expect("a request")
}

/// A direction that broke off.
struct Broken;

async fn carry_up(mut from: OwnedReadHalf, mut to: SendStream<Bytes>) -> Result<(), Broken> {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if !send_some(&mut to, Bytes::copy_from_slice(&buffer[..length])).await {
            return Ok(());
        }
    }
    // The server may have had enough.
    let _either_way = to.send_data(Bytes::new(), true);
    Ok(())
}

async fn carry_down(mut from: RecvStream, mut to: OwnedWriteHalf) -> Result<(), Broken> {
    while let Some(octets) = from.data().await {
        let Ok(octets) = octets else {
            // What broke off must not look like an end.
            socket2::SockRef::from(to.as_ref()).set_linger(Some(Duration::ZERO)).expect("a socket");
            to.forget();
            return Err(Broken);
        };
        from.flow_control().release_capacity(octets.len()).expect("what was taken");
        if to.write_all(&octets).await.is_err() {
            return Ok(());
        }
    }
    // Dropping it is the end of what was said.
    Ok(())
}

async fn send_all(mut stream: SendStream<Bytes>, content: Bytes) {
    if send_some(&mut stream, content).await {
        // The server may have had enough.
        let _either_way = stream.send_data(Bytes::new(), true);
    }
}

/// Whether all of it was taken.
async fn send_some(stream: &mut SendStream<Bytes>, mut content: Bytes) -> bool {
    while !content.is_empty() {
        stream.reserve_capacity(content.len());
        let Some(Ok(room)) = std::future::poll_fn(|context| stream.poll_capacity(context)).await else {
            return false;
        };
        let piece = content.split_to(room.min(content.len()));
        if stream.send_data(piece, false).is_err() {
            return false;
        }
    }
    true
}

/// A stream that is open both ways.
pub struct Open<'a> {
    runtime: &'a Runtime,
    send: SendStream<Bytes>,
    receive: RecvStream,
}

impl Open<'_> {
    /// Sends octets.
    pub fn send(&mut self, octets: &[u8]) {
        self.send.send_data(Bytes::copy_from_slice(octets), false).expect("an open stream");
    }

    /// Waits for octets; `None` at the end.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        let next = self.runtime.block_on(async { timeout(HANG_GUARD, self.receive.data()).await });
        let octets = next.expect("octets in time")?.expect("an open stream");
        self.receive.flow_control().release_capacity(octets.len()).expect("what was taken");
        Some(octets.to_vec())
    }

    /// Waits for octets or an end that must not come: why the stream was reset.
    pub fn reset_reason(&mut self) -> Option<h2::Reason> {
        loop {
            let next = self.runtime.block_on(async { timeout(HANG_GUARD, self.receive.data()).await });
            match next.expect("an end in time") {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error.reason(),
                None => return None,
            }
        }
    }

    /// Says that this was all, with a trailer field.
    pub fn end_with_trailers(&mut self) {
        let mut trailers = HeaderMap::new();
        trailers.insert("x", http::HeaderValue::from_static("1"));
        self.send.send_trailers(trailers).expect("an open stream");
    }

    /// Resets the stream.
    pub fn reset(&mut self) {
        self.send.send_reset(h2::Reason::CANCEL);
    }

    /// Says that this was all.
    pub fn end(&mut self) {
        self.send.send_data(Bytes::new(), true).expect("an open stream");
    }
}
