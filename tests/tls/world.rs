//! An origin on loopback that shows a chain, and a client that is Larder's.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use larder::clock::Clock;
use larder::error::{ErrorType, Failure, Fault};
use larder::http::{Host, Timestamp};
use larder::tls::{Alpn, OriginTls, OwnRoots, Pin, Roots, Verification, handshake_failure};
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConnection, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

use super::chain::NOW;

/// Reached by no test that passes.
const HANG_GUARD: Duration = Duration::from_secs(30);

/// Origins of either version.
pub const ONE_VERSION_EACH: [&[&SupportedProtocolVersion]; 2] =
    [&[&rustls::version::TLS12], &[&rustls::version::TLS13]];

/// Whom the client trusts, and when it is.
pub struct Client {
    roots: Vec<u8>,
    own: OwnRoots,
    pins: HashMap<Host, Pin>,
    now: Timestamp,
}

/// What came of it.
pub struct Outcome {
    pub result: Result<(), Failure>,
    /// What the origin got after the handshake.
    pub received: Vec<u8>,
}

pub fn host(text: &str) -> Host {
    Host::parse_text(text).expect("a host")
}

impl Client {
    /// A client that trusts these.
    pub fn trusting(roots: &[CertificateDer<'static>]) -> Client {
        let pem = roots.iter().flat_map(|root| pem(root).into_bytes()).collect();
        Client { roots: pem, own: OwnRoots::default(), pins: HashMap::new(), now: NOW }
    }

    /// With roots of its own, which no origin may have.
    pub fn owning(mut self, own: &OwnRoots) -> Client {
        self.own = own.clone();
        self
    }

    pub fn pinning(mut self, name: &str, pin: Pin) -> Client {
        self.pins.insert(host(name), pin);
        self
    }

    pub fn at(mut self, now: Timestamp) -> Client {
        self.now = now;
        self
    }

    /// Asks an origin that shows this chain for something, as `name`.
    pub fn ask(&self, name: &str, shown: Arc<CertifiedKey>) -> Outcome {
        self.ask_with(name, shown, rustls::ALL_VERSIONS)
    }

    /// As [`Client::ask`], of an origin with these versions of TLS.
    pub fn ask_with(
        &self,
        name: &str,
        shown: Arc<CertifiedKey>,
        versions: &'static [&'static SupportedProtocolVersion],
    ) -> Outcome {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(versions).expect("versions").with_no_client_auth();
        let config = Arc::new(builder.with_cert_resolver(Arc::new(Shows(shown))));
        self.ask_server(name, move |stream| {
            let mut stream = StreamOwned::new(ServerConnection::new(config).expect("a server"), stream);
            let mut received = Vec::new();
            // It ends as the client's handshake ends: with what was asked, or with an alert.
            let _end = stream.read_to_end(&mut received);
            received
        })
    }

    /// Asks a server of any kind.
    pub fn ask_server(
        &self,
        name: &str,
        serve: impl FnOnce(TcpStream) -> Vec<u8> + Send + 'static,
    ) -> Outcome {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a client");
            stream.set_read_timeout(Some(HANG_GUARD)).expect("a deadline");
            serve(stream)
        });
        let result = self.request(name, TcpStream::connect(address).expect("a server"));
        Outcome { result, received: server.join().expect("the server does not panic") }
    }

    fn request(&self, name: &str, mut stream: TcpStream) -> Result<(), Failure> {
        stream.set_read_timeout(Some(HANG_GUARD)).expect("a deadline");
        let host = host(name);
        let roots = Roots::from_pem(&self.roots, &self.own).expect("roots");
        let verification = Verification { roots, own: self.own.clone(), pins: self.pins.clone() };
        let origins = OriginTls::new(verification, Clock::manual(self.now));
        let (config, name) = origins.client(&host, 443, Alpn::Http1)?;
        let mut client = ClientConnection::new(config, name).expect("a client");
        while client.is_handshaking() {
            client.complete_io(&mut stream).map_err(|error| handshake_failure(&host, &error))?;
        }
        client.writer().write_all(b"GET / HTTP/1.1\r\n\r\n").expect("room for it");
        client.send_close_notify();
        client.complete_io(&mut stream).expect("it is sent");
        Ok(())
    }
}

impl Outcome {
    /// The origin is accepted, and gets what it is asked.
    pub fn is_accepted(&self, what: &str) {
        assert!(self.result.is_ok(), "{what}: {:?}", self.result);
        assert!(self.received.starts_with(b"GET / "), "{what}");
    }

    /// The certificate is refused for this reason, and nothing is sent.
    pub fn is_refused(&self, what: &str, reason: &str) {
        self.fails(what, ErrorType::TlsCertificateError, reason);
    }

    /// The handshake fails like this, and nothing is sent.
    pub fn fails(&self, what: &str, error: ErrorType, public: &str) {
        let failure = self.result.as_ref().expect_err(what);
        assert_eq!((failure.error, failure.fault, failure.status), (error, Fault::Origin, 502), "{what}");
        assert!(failure.public.contains(public), "{what}: {failure}");
        assert!(!failure.internal.is_empty(), "{what}: the log has a detail");
        assert!(self.received.is_empty(), "{what}: something was sent");
    }
}

/// Shows one chain to everybody.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn pem(der: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
}
