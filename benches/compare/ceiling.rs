//! The two ends of every comparison: the least work a server can do, and an origin that is never the bottleneck.
//!
//! `fixed` answers each request with the same bytes and parses nothing: no cache that copies a stored response out of
//! its memory can serve a hit for less. (One that lets the kernel send from a file can, where bodies are large.)
//! `relay` copies bytes between a client and the origin: no HTTP proxy can pass a request through for less.
//! `origin` is what the proxies stand in front of; it counts what it is asked, so that a row cannot lie.
//!
//! Not here, on purpose: parsing, keep-alive rules, pipelining, time-outs. The only clients are `run` and its load
//! generator, on loopback, with bodiless requests, so a request ends where the bytes read so far end in a blank line.

use std::io::{Error, Result};
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// More than any request head that `run` makes; a longer one ends the connection.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A pass-through response is small, so that its row measures requests and not bytes.
const PASS_BODY_BYTES: usize = 64;

const USAGE: &str = "usage: ceiling fixed PORT BODY_BYTES | relay PORT ORIGIN_PORT | origin PORT HTTP_DATE";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, port, detail] = arguments.as_slice() else {
        return Err(Error::other(USAGE));
    };
    let port = number(port)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    match mode.as_str() {
        "fixed" => runtime.block_on(fixed(port, number(detail)?)),
        "relay" => runtime.block_on(relay(port, number(detail)?)),
        "origin" => runtime.block_on(origin(port, detail)),
        _ => Err(Error::other(USAGE)),
    }
}

fn number<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T> {
    text.parse().map_err(|error| Error::other(format!("{text}: {error}; {USAGE}")))
}

async fn fixed(port: u16, body_bytes: usize) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    // The date is never looked at; it stands there so that the head is as long as a real one.
    let canned: Arc<[u8]> =
        response("Thu, 01 Jan 1970 00:00:00 GMT", "max-age=86400", &filler(body_bytes)).into();
    loop {
        let mut client = accept(&listener).await?;
        let canned = Arc::clone(&canned);
        tokio::spawn(async move {
            let mut head = vec![0; HEAD_BYTES_MAX];
            while read_head(&mut client, &mut head).await.is_some() {
                if client.write_all(&canned).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn relay(port: u16, origin_port: u16) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let mut client = accept(&listener).await?;
        tokio::spawn(async move {
            let mut origin = TcpStream::connect(("127.0.0.1", origin_port)).await?;
            origin.set_nodelay(true)?;
            copy_bidirectional(&mut client, &mut origin).await
        });
    }
}

/// What one origin serves: built once, so that answering a pass-through request is one read and one write.
struct Site {
    date: String,
    pass: Vec<u8>,
    asked: AtomicU64,
}

async fn origin(port: u16, date: &str) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let site = Arc::new(Site {
        date: date.to_owned(),
        pass: response(date, "no-store", &filler(PASS_BODY_BYTES)),
        asked: AtomicU64::new(0),
    });
    loop {
        let client = accept(&listener).await?;
        tokio::spawn(serve(client, Arc::clone(&site)));
    }
}

async fn serve(mut client: TcpStream, site: Arc<Site>) -> Result<()> {
    let mut buffer = vec![0; HEAD_BYTES_MAX];
    while let Some(head) = read_head(&mut client, &mut buffer).await {
        if head.starts_with(b"GET /count ") {
            let asked = site.asked.load(Ordering::Relaxed).to_string();
            client.write_all(&response(&site.date, "no-store", asked.as_bytes())).await?;
            continue;
        }
        site.asked.fetch_add(1, Ordering::Relaxed);
        if let Some(bytes) = hit_bytes(head) {
            let answer = response(&site.date, "max-age=86400", &filler(bytes));
            client.write_all(&answer).await?;
        } else {
            client.write_all(&site.pass).await?;
        }
    }
    Ok(())
}

/// The body length that `GET /hit/LENGTH` asks for; any other path is a pass-through one.
fn hit_bytes(head: &[u8]) -> Option<usize> {
    let rest = head.strip_prefix(b"GET /hit/")?;
    let digits = rest.split(|byte| *byte == b' ').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn filler(bytes: usize) -> Vec<u8> {
    vec![b'x'; bytes]
}

fn response(date: &str, cache_control: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: text/plain\r\n\
         Cache-Control: {cache_control}\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

async fn accept(listener: &TcpListener) -> Result<TcpStream> {
    let (client, _) = listener.accept().await?;
    client.set_nodelay(true)?;
    Ok(client)
}

/// Reads until the bytes end in a blank line; `None` when the client has gone or sends more than a head.
async fn read_head<'a>(client: &mut TcpStream, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut filled = 0;
    while !buffer.get(..filled)?.ends_with(b"\r\n\r\n") {
        let read = client.read(buffer.get_mut(filled..)?).await.ok()?;
        if read == 0 {
            return None;
        }
        filled += read;
    }
    buffer.get(..filled)
}
