//! What is asked for inside a tunnel that Larder looks into: scheme and authority are those of the
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
            Target::Absolute(uri) if uri.scheme == self.scheme && uri.authority == self.authority => {
                uri.path_and_query.clone()
            }
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

    /// Whether `Host` names this authority. That it is there at all, and once, the parser has seen
    /// to; an HTTP/1.0 client may leave it out.
    fn is_host_of(&self, request: &Request) -> bool {
        request.fields.all(FieldName::Host).all(|value| {
            let host =
                Authority::parse(&bytes::Bytes::copy_from_slice(value), Some(self.scheme.default_port()));
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
