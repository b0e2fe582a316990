//! What is asked for inside a tunnel whose requests Larder serves: scheme and authority are those of the
//! CONNECT, whatever a request says.
//!
//! Invariant: a request for another authority is answered with 421, and neither routed nor stored.
//! Otherwise one tunnel could fill the store with responses of other sites.

use crate::error::{ErrorType, Failure, Fault};
use crate::http::{Authority, FieldName, Request, Scheme, Target, TargetUri};

/// What all requests of a connection are for.
#[derive(Clone, Debug)]
pub struct Inside {
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    /// Nothing is served here but this: the host is blocked, and the page says so.
    pub(super) blocked: Option<Failure>,
}

impl Inside {
    /// For a tunnel to this host and port.
    pub(super) fn new(scheme: Scheme, authority: &Authority, blocked: Option<Failure>) -> Inside {
        // What was parsed would keep the whole head of the CONNECT alive.
        let authority = Authority { host: authority.host.detached(), port: authority.port };
        Inside { scheme, authority, blocked }
    }

    /// Makes the target of a request absolute. `Err` for one that is not for this authority.
    pub(super) fn locate(&self, request: &mut Request) -> Result<(), Failure> {
        let path_and_query = match &request.target {
            Target::Origin(path) => path.clone(),
            Target::Asterisk => bytes::Bytes::from_static(b"*"),
            // RFC 9112 §3.2.2: "a server MUST accept the absolute-form in requests".
            Target::Absolute(uri) if self.is_target(uri) => uri.path_and_query.clone(),
            Target::Absolute(_) => return Err(misdirected()),
            Target::Authority(_) => return Err(nested()),
        };
        if !self.is_host_of(request) {
            return Err(misdirected());
        }
        let (scheme, authority) = (self.scheme, self.authority.clone());
        request.target = Target::Absolute(TargetUri { scheme, authority, path_and_query });
        self.blocked.clone().map_or(Ok(()), Err)
    }

    /// Whether an absolute URI, or the pseudo-fields of HTTP/2, are for this authority. The port may be
    /// missing, which reads as the scheme's own: clients that were told of the tunnel's port by its
    /// CONNECT leave it out inside.
    fn is_target(&self, uri: &TargetUri) -> bool {
        let Authority { host, port } = &uri.authority;
        let is_port = *port == self.authority.port || *port == self.scheme.default_port();
        uri.scheme == self.scheme && *host == self.authority.host && is_port
    }

    /// Whether `Host` names this authority; without a port it means the tunnel's. The parser has already
    /// checked that there is exactly one; an HTTP/1.0 client may leave it out.
    fn is_host_of(&self, request: &Request) -> bool {
        request.fields.all(FieldName::Host).all(|value| {
            let host = bytes::Bytes::copy_from_slice(value);
            let host = Authority::parse(&host, Some(self.authority.port));
            host.is_ok_and(|host| host == self.authority)
        })
    }
}

/// RFC 9110 §15.5.20.
fn misdirected() -> Failure {
    let public = "This connection is for another host than the request";
    Failure::new(ErrorType::HttpRequestError, Fault::Client, 421, public)
}

fn nested() -> Failure {
    let public = "There are no tunnels inside a tunnel";
    Failure::new(ErrorType::HttpRequestError, Fault::Client, 400, public)
}
