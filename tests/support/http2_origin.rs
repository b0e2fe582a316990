//! An origin with HTTP/2: the `h2` crate on a runtime of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use rustls::ServerConfig;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::eventually;

/// What is answered to one path.
#[derive(Clone)]
pub enum Http2Answer {
    /// A response with these fields, content in these pieces, and trailers.
    Whole(Vec<(&'static str, &'static str)>, Vec<Bytes>, Option<(&'static str, &'static str)>),
    /// As [`Http2Answer::Whole`] without fields, once it is let go.
    Held(Arc<Notify>, &'static str),
    /// The head and the first text at once, the second once it is let go.
    Paused(Arc<Notify>, &'static str, &'static str),
    /// The stream is reset.
    Reset(Reason),
    /// A response that breaks off.
    Broken,
    /// The connection is told to go away behind this answer.
    GoAway(&'static str),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Http2Seen {
    pub head: Arc<http::request::Parts>,
    pub content: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

/// A running origin.
pub struct Http2Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

#[derive(Default)]
struct Shared {
    script: Mutex<HashMap<String, Http2Answer>>,
    seen: Mutex<Vec<Http2Seen>>,
    connections: AtomicUsize,
}

impl Http2Origin {
    /// Starts with this certificate on a port of its own.
    pub fn start(config: ServerConfig) -> Http2Origin {
        Http2Origin::taking(100, config)
    }

    /// As [`Http2Origin::start`], for one that takes so many streams at once.
    pub fn taking(streams: u32, mut config: ServerConfig) -> Http2Origin {
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a thread");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let serving = shared.clone();
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                serving.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(serving.clone(), acceptor.clone(), socket, streams));
            }
        });
        Http2Origin { address, shared, _runtime: runtime }
    }

    /// The URI of a path.
    pub fn url(&self, path: &str) -> String {
        format!("https://origin.example:{}{path}", self.address.port())
    }

    /// Host and port.
    pub fn authority(&self) -> String {
        format!("origin.example:{}", self.address.port())
    }

    /// Answers requests for a path; others get a 404.
    pub fn on_path(&self, path: &str, answer: Http2Answer) {
        self.shared.script.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// The requests so far, once there are so many.
    pub fn requests(&self, count: usize) -> Vec<Http2Seen> {
        eventually("so many requests", || self.shared.seen.lock().unwrap().len() >= count);
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many connections were made.
    pub fn connection_count(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

async fn serve(
    shared: Arc<Shared>,
    acceptor: tokio_rustls::TlsAcceptor,
    socket: tokio::net::TcpStream,
    streams: u32,
) {
    // The proxy may have had enough at any point; what it says to its client is looked at.
    let Ok(stream) = acceptor.accept(socket).await else { return };
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return http1(stream).await;
    }
    let mut builder = h2::server::Builder::new();
    let handshake = builder.max_concurrent_streams(streams).handshake(stream);
    let Ok(mut connection) = handshake.await else { return };
    let going = Arc::new(Notify::new());
    let mut goes = false;
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                tokio::spawn(answer(shared.clone(), request, respond, going.clone()));
            }
            () = going.notified(), if !goes => {
                goes = true;
                connection.graceful_shutdown();
            }
        }
    }
}

/// All that a proxy asks of HTTP/1 here.
async fn http1(mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(octet) = stream.read_u8().await else { return };
        head.push(octet);
    }
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhttp1";
    if stream.write_all(answer).await.is_ok() {
        drop(stream.shutdown().await);
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    going: Arc<Notify>,
) -> Option<()> {
    let (head, mut stream) = request.into_parts();
    let path = head.uri.path().to_owned();
    let mut content = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece.ok()?;
        stream.flow_control().release_capacity(piece.len()).ok()?;
        content.extend_from_slice(&piece);
    }
    let trailers = stream.trailers().await.ok()?;
    shared.seen.lock().unwrap().push(Http2Seen { head: Arc::new(head), content, trailers });
    let answer = shared.script.lock().unwrap().get(&path).cloned();
    let mut head = Response::new(());
    match answer {
        None => {
            *head.status_mut() = http::StatusCode::NOT_FOUND;
            respond.send_response(head, true).ok()?;
        }
        Some(Http2Answer::Whole(fields, pieces, trailers)) => {
            for (name, value) in fields {
                head.headers_mut().append(name, http::HeaderValue::from_static(value));
            }
            let mut stream = respond.send_response(head, false).ok()?;
            for piece in pieces {
                send_all(&mut stream, piece).await?;
            }
            match trailers {
                None => stream.send_data(Bytes::new(), true).ok()?,
                Some((name, value)) => {
                    let mut trailers = HeaderMap::new();
                    trailers.insert(name, http::HeaderValue::from_static(value));
                    stream.send_trailers(trailers).ok()?;
                }
            }
        }
        Some(Http2Answer::Held(held, text)) => {
            held.notified().await;
            respond.send_response(head, false).ok()?.send_data(Bytes::from(text), true).ok()?;
        }
        Some(Http2Answer::Paused(held, first, second)) => {
            let mut stream = respond.send_response(head, false).ok()?;
            stream.send_data(Bytes::from(first), false).ok()?;
            held.notified().await;
            stream.send_data(Bytes::from(second), true).ok()?;
        }
        Some(Http2Answer::Reset(reason)) => respond.send_reset(reason),
        Some(Http2Answer::Broken) => {
            let mut stream = respond.send_response(head, false).ok()?;
            stream.send_data(Bytes::from_static(b"hello"), false).ok()?;
            tokio::task::yield_now().await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
        Some(Http2Answer::GoAway(text)) => {
            going.notify_one();
            respond.send_response(head, false).ok()?.send_data(Bytes::from(text), true).ok()?;
        }
    }
    Some(())
}

async fn send_all(stream: &mut h2::SendStream<Bytes>, mut content: Bytes) -> Option<()> {
    while !content.is_empty() {
        stream.reserve_capacity(content.len());
        let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await?.ok()?;
        stream.send_data(content.split_to(room.min(content.len())), false).ok()?;
    }
    Some(())
}
