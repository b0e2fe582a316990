//! A client: raw octets to the proxy, and what comes back taken apart.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;

use super::Wire;
use super::message::{Body, End, Fields, Framing, Head, latin1};

/// A client's connection to the proxy.
#[derive(Debug)]
pub struct Client {
    pub wire: Wire,
}

/// A final response as a client got it, with the interim ones before it.
#[derive(Clone, Debug)]
pub struct Response {
    pub interim: Vec<Head>,
    pub head: Head,
    pub body: Body,
}

impl Client {
    /// Connects to the proxy.
    pub fn connect(proxy: SocketAddr) -> Client {
        Client { wire: Wire::connect(proxy) }
    }

    /// Goes on within TLS, as a client of the server with this name.
    pub fn within_tls(self, config: ClientConfig, name: &str) -> Client {
        Client { wire: self.wire.connect_tls(Arc::new(config), name) }
    }

    /// Sends octets.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Client {
        self.wire.send(bytes);
        self
    }

    /// Sends octets one by one, each in a segment of its own.
    pub fn send_bytewise(&mut self, bytes: impl AsRef<[u8]>) -> &mut Client {
        for byte in bytes.as_ref() {
            if !self.wire.send([*byte]) {
                break;
            }
        }
        self
    }

    /// Says that no more requests follow.
    pub fn half_close(&mut self) -> &mut Client {
        self.wire.half_close();
        self
    }

    /// Asks for a URI, and reads the response.
    pub fn get(&mut self, url: &str) -> Response {
        self.get_with(url, &[])
    }

    /// Asks for a URI with these fields, and reads the response.
    pub fn get_with(&mut self, url: &str, fields: &[(&str, &str)]) -> Response {
        self.request("GET", url, fields, "")
    }

    /// Sends a request, with content and its Content-Length unless it is empty, and reads the
    /// response.
    pub fn request(
        &mut self,
        method: &str,
        url: &str,
        fields: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Response {
        self.send(request(method, url, fields, body));
        self.response_to(method)
    }

    /// Reads the response to a method that is neither HEAD nor CONNECT.
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// Reads the response to a method.
    pub fn response_to(&mut self, method: &str) -> Response {
        let mut interim = Vec::new();
        loop {
            let head = self.head();
            match head.status() {
                100 | 102..=199 => interim.push(head),
                status => {
                    let tunnel = status == 101 || (method == "CONNECT" && status / 100 == 2);
                    let empty = method == "HEAD" || tunnel || matches!(status, 204 | 304);
                    let body = if empty { Body::none() } else { self.body(&head) };
                    return Response { interim, head, body };
                }
            }
        }
    }

    /// Reads one head, interim or final.
    pub fn head(&mut self) -> Head {
        self.wire.head().unwrap_or_else(|(found, end)| {
            panic!("the connection ended ({end:?}) where a response was expected: {:?}", latin1(&found))
        })
    }

    /// Reads the content of a response.
    pub fn body(&mut self, head: &Head) -> Body {
        match head.framing() {
            // RFC 9112 §6.3 rule 8.
            Framing::None => self.wire.until_close(),
            framing => self.wire.body(framing),
        }
    }

    /// Waits until the proxy closes; whether nothing came before that.
    pub fn is_closed(&mut self) -> bool {
        self.wire.is_closed()
    }

    /// Waits until the proxy is done with all that this connection has asked for: counted,
    /// logged, and the origin's connection put back. A question to the proxy itself tells.
    pub fn settle(&mut self) {
        self.send("OPTIONS * HTTP/1.1\r\nHost: larder.proxy\r\n\r\n");
        assert_eq!(self.response().status(), 200);
    }

    /// Goes away with a reset.
    pub fn reset(self) {
        self.wire.reset_on_drop();
    }
}

impl Response {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// The value of a field's first line.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }

    /// Whether the field is there.
    pub fn has(&self, name: &str) -> bool {
        self.head.has(name)
    }

    /// The content as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body.bytes).expect("the content is text")
    }

    /// The trailer fields.
    pub fn trailers(&self) -> &Fields {
        &self.body.trailers
    }

    /// Whether the response arrived from its first octet to its last.
    pub fn is_whole(&self) -> bool {
        self.body.end == End::Clean
    }

    /// What `Cache-Status` says; empty when it is missing.
    pub fn cache_status(&self) -> &str {
        self.field("Cache-Status").unwrap_or_default()
    }

    /// Whether it came from the store without a question to the origin.
    pub fn is_hit(&self) -> bool {
        self.cache_status().split(';').any(|parameter| parameter.trim() == "hit")
    }

    /// The error type in `Proxy-Status` (RFC 9209); empty when there is none.
    pub fn proxy_error(&self) -> &str {
        let parameters = self.field("Proxy-Status").unwrap_or_default().split(';');
        parameters.map(str::trim).find_map(|parameter| parameter.strip_prefix("error=")).unwrap_or_default()
    }
}

/// A request in absolute-form with its Host, and a Content-Length where there is content.
pub fn request(method: &str, url: &str, fields: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let authority = url.split("://").nth(1).unwrap_or(url).split('/').next().unwrap_or_default();
    let mut head = format!("{method} {url} HTTP/1.1\r\nHost: {authority}\r\n");
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let body = body.as_ref();
    if !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}
