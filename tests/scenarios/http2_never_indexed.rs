//! Fields that no compression table may hold (RFC 7541 §6.2.3, §7.1.3): they leave as they came, and
//! credentials and cookies leave so in any case.

use crate::support::frames::{
    DATA, END_HEADERS, END_STREAM, FrameOrigin, HEADERS, OPENING, fields, frame, never_indexed,
    never_indexed_names, next_frame,
};
use crate::support::{Certificates, Client, Setup, World};

/// Indices of names in the static table (RFC 7541, Appendix A); 0 is a name in full.
const AUTHORIZATION: usize = 23;
const COOKIE: usize = 32;
const SET_COOKIE: usize = 55;
const IN_FULL: usize = 0;

struct Marked {
    world: World,
    origin: FrameOrigin,
}

impl Marked {
    fn new() -> Marked {
        let certificates = Certificates::new();
        let world = World::with(|setup| {
            Setup::listen_within_tls(setup);
            setup.trust(&certificates);
        });
        let origin = FrameOrigin::start(certificates.server("origin.example"), |wire, _, stream| {
            let fresh = ("cache-control", "public, max-age=60");
            let lines = fields(&[(":status", "200"), ("set-cookie", "a=1"), fresh]);
            let head = never_indexed(lines, ("x-token", "2"));
            wire.send(frame(HEADERS, END_HEADERS, stream, &head));
            wire.send(frame(DATA, 0, stream, b"hello"));
            let trailers = never_indexed(fields(&[("x-plain", "3")]), ("x-sum", "4"));
            wire.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &trailers));
        });
        Marked { world, origin }
    }

    /// A client whose request on stream 1 has these lines, and one that is marked.
    fn ask(&self, lines: &[(&str, &str)], marked: (&str, &str)) -> Client {
        let mut config = self.world.trusting();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let mut client = Client::connect(self.world.proxy_within_tls()).within_tls(config, "localhost");
        let authority = self.origin.authority();
        let control = [(":method", "GET"), (":scheme", "https"), (":authority", &authority), (":path", "/")];
        let block = never_indexed(fields(&[&control, lines].concat()), marked);
        client.send(OPENING);
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block));
        client
    }
}

/// The next field block.
fn block(client: &mut Client) -> Vec<u8> {
    loop {
        let (kind, _, payload) = next_frame(&mut client.wire).expect("more frames");
        if kind == HEADERS {
            return payload;
        }
    }
}

#[test]
fn requests_keep_their_marks() {
    let marked = Marked::new();
    let lines = [("authorization", "Basic YTpi"), ("cookie", "a=1"), ("x-plain", "1")];
    block(&mut marked.ask(&lines, ("x-secret", "2")));
    assert_eq!(never_indexed_names(&marked.origin.blocks()[0]), [IN_FULL, AUTHORIZATION, COOKIE]);
}

#[test]
fn responses_keep_their_marks_and_trailers_do() {
    let marked = Marked::new();
    let mut client = marked.ask(&[("te", "trailers")], ("x-secret", "2"));
    assert_eq!(never_indexed_names(&block(&mut client)), [IN_FULL, SET_COOKIE]);
    assert_eq!(never_indexed_names(&block(&mut client)), [IN_FULL]);
    // A stored one, too.
    let mut client = marked.ask(&[], ("x-secret", "2"));
    assert_eq!(never_indexed_names(&block(&mut client)), [IN_FULL, SET_COOKIE]);
    assert_eq!(marked.origin.heads(), 1);
}

#[test]
fn a_client_of_http_1_has_its_credentials_kept_out_of_tables() {
    let marked = Marked::new();
    let url = format!("https://{}/", marked.origin.authority());
    let lines = [("Authorization", "Basic YTpi"), ("X-Plain", "1")];
    let mut client = marked.world.client();
    client.send(crate::support::request("GET", &url, &lines, ""));
    assert_eq!(client.response().text(), "hello");
    assert_eq!(never_indexed_names(&marked.origin.blocks()[0]), [AUTHORIZATION]);
}
