//! A client with HTTP/2: the `h2` crate on a runtime of its own, as blocking as everything here.

use std::net::TcpStream;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::HANG_GUARD;

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

    fn begin_with(&mut self, request: Request<()>, content: Option<&[u8]>) -> Waiting {
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

async fn send_all(mut stream: SendStream<Bytes>, mut content: Bytes) {
    while !content.is_empty() {
        stream.reserve_capacity(content.len());
        let Some(Ok(room)) = std::future::poll_fn(|context| stream.poll_capacity(context)).await else {
            return;
        };
        let piece = content.split_to(room.min(content.len()));
        if stream.send_data(piece, false).is_err() {
            return;
        }
    }
    // The server may have had enough.
    let _either_way = stream.send_data(Bytes::new(), true);
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

    /// Says that this was all.
    pub fn end(&mut self) {
        self.send.send_data(Bytes::new(), true).expect("an open stream");
    }
}
