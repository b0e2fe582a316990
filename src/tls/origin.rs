//! What a connection to an origin is made with: a `ClientConfig` for one host and port.
//!
//! Sessions are resumed within one configuration alone: one host, one port, one offer of protocols,
//! and, because a change of the settings makes a new [`OriginTls`], one way of verifying. A resumed
//! session is not verified anew, so that a configuration is thrown away after a day.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::{ClientSessionMemoryCache, ResolvesClientCert, Resumption};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, ClientConfig, SignatureScheme};

use crate::clock::Clock;
use crate::error::{ErrorType, Failure, Fault};
use crate::http::{Host, Timestamp};

use super::authority::{DAY_S, OwnRoots};
use super::failure::tls_error;
use super::pin::Pin;
use super::roots::Roots;
use super::verify::{HostVerifier, Trust};
use super::{Alpn, ByClock, provider};

/// Configurations kept at a time, each with the sessions of its origin.
const CONFIGS_MAX: usize = 2000;

/// How origins are verified.
#[derive(Debug)]
pub struct Verification {
    pub roots: Roots,
    /// The roots that no origin may lead to.
    pub own: OwnRoots,
    /// The one key of a host, on all of its ports.
    pub pins: HashMap<Host, Pin>,
}

/// Makes what connections to origins are made with.
#[derive(Debug)]
pub struct OriginTls {
    trust: Arc<Trust>,
    pins: HashMap<Host, Pin>,
    clock: Clock,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    configs: HashMap<(Host, u16, Alpn), Origin>,
    uses: u64,
}

#[derive(Debug)]
struct Origin {
    config: Arc<ClientConfig>,
    asked: Arc<Asked>,
    made: Timestamp,
    used: u64,
}

impl OriginTls {
    /// With these roots and pins.
    pub fn new(verification: Verification, clock: Clock) -> OriginTls {
        let Verification { roots, own, pins } = verification;
        let algorithms = provider().signature_verification_algorithms;
        OriginTls { trust: Arc::new(Trust { roots, own, algorithms }), pins, clock, kept: Mutex::default() }
    }

    /// What a connection to this host and port is made with: the name is sent as SNI unless it is
    /// an address (RFC 6066 §3), and is what the certificate must be for.
    pub fn client(
        &self,
        host: &Host,
        port: u16,
        alpn: Alpn,
    ) -> Result<(Arc<ClientConfig>, ServerName<'static>), Failure> {
        let name = server_name(host)?;
        let now = self.clock.now();
        let key = (host.detached(), port, alpn);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let used = kept.uses;
        if let Some(origin) = kept.configs.get_mut(&key)
            && now.seconds_since(origin.made) < DAY_S
        {
            origin.used = used;
            return Ok((Arc::clone(&origin.config), name));
        }
        // Cheap: nothing is computed here, so the lock may be held.
        let asked = Arc::new(Asked::default());
        let config = Arc::new(self.make(host, alpn, Arc::clone(&asked))?);
        if kept.configs.len() >= CONFIGS_MAX && !kept.configs.contains_key(&key) {
            let oldest =
                kept.configs.iter().min_by_key(|(_, origin)| origin.used).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                kept.configs.remove(&oldest);
            }
        }
        kept.configs.insert(key, Origin { config: Arc::clone(&config), asked, made: now, used });
        Ok((config, name))
    }

    /// Whether this origin has asked for a certificate of the client's, which Larder can't have, and
    /// has broken off without one: such a host can't be intercepted.
    pub fn needs_certificate(&self, host: &Host, port: u16) -> bool {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        [Alpn::Http1, Alpn::Http2, Alpn::None].into_iter().any(|alpn| {
            let origin = kept.configs.get(&(host.detached(), port, alpn));
            origin.is_some_and(|origin| origin.asked.is_needed())
        })
    }

    /// Where the ends of connections with this origin are noted, from which
    /// [`OriginTls::needs_certificate`] follows.
    pub fn ends(&self, host: &Host, port: u16, alpn: Alpn) -> Option<Arc<Asked>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.configs.get(&(host.detached(), port, alpn)).map(|origin| Arc::clone(&origin.asked))
    }

    fn make(&self, host: &Host, alpn: Alpn, asked: Arc<Asked>) -> Result<ClientConfig, Failure> {
        let time = Arc::new(ByClock(self.clock.clone()));
        let verifier = HostVerifier { trust: Arc::clone(&self.trust), pin: self.pins.get(host).copied() };
        let builder = ClientConfig::builder_with_details(provider(), time)
            .with_safe_default_protocol_versions()
            .map_err(|error| {
                let public = "TLS can't be spoken here";
                Failure::new(ErrorType::ProxyInternalError, Fault::Proxy, 500, public).with_internal(error)
            })?;
        // Called dangerous because a verifier can be lax; ours does all that rustls' own one does.
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = builder.with_client_cert_resolver(asked);
        config.alpn_protocols = alpn.protocols();
        config.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(1)));
        config.enable_early_data = false;
        Ok(config)
    }
}

/// The name that is asked for and must be shown.
fn server_name(host: &Host) -> Result<ServerName<'static>, Failure> {
    if let Some(ip) = host.ip() {
        return Ok(ServerName::IpAddress(ip.into()));
    }
    ServerName::try_from(host.as_str().to_owned()).map_err(|error| {
        let public = format!("No certificate can be for the name {host}");
        Failure::new(ErrorType::TlsCertificateError, Fault::Origin, 502, public).with_internal(error)
    })
}

/// Notes that an origin has asked for a client's certificate, and has none; and whether the origin does
/// without.
#[derive(Debug, Default)]
pub struct Asked {
    has_asked: AtomicBool,
    has_refused: AtomicBool,
}

impl Asked {
    /// As [`Asked::note`], of a handshake: one that is asked for a certificate and broken off without
    /// an alert has needed it.
    pub fn note_failed(&self, error: &io::Error) {
        let is_broken_off = tls_error(error).is_none();
        if is_broken_off && self.has_asked.load(Ordering::Relaxed) {
            self.has_refused.store(true, Ordering::Relaxed);
        }
        self.note(error);
    }

    /// Notes how reading from the origin has failed. In TLS 1.3 the handshake
    /// is over for the client when the origin looks at its certificate (RFC 8446 §4.4.2.4).
    pub fn note(&self, error: &io::Error) {
        use AlertDescription as A;
        let refuses = match tls_error(error) {
            Some(rustls::Error::AlertReceived(alert)) => matches!(
                alert,
                A::CertificateRequired
                    | A::HandshakeFailure
                    | A::NoCertificate
                    | A::BadCertificate
                    | A::CertificateUnknown
                    | A::AccessDenied
            ),
            _ => false,
        };
        if refuses && self.has_asked.load(Ordering::Relaxed) {
            self.has_refused.store(true, Ordering::Relaxed);
        }
    }

    fn is_needed(&self) -> bool {
        self.has_refused.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Asked {
    fn resolve(
        &self,
        _acceptable_issuers: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.has_asked.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        // rustls asks the resolver only when this says so.
        true
    }
}
