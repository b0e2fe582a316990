//! From names to addresses: the hosts file first, then the name servers.
//!
//! A name that is in the hosts file is answered by it alone, in both families, as getaddrinfo does.
//! Octets of a name go to name servers as they are (RFC 2181 §11): what is a host at all, `http/host.rs`
//! has decided.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::dns::{Dns, Found, Unresolved};
use super::name_files::{NameFiles, Names};
use crate::clock::Clock;
use crate::error::Failure;
use crate::http::Host;

/// A source of addresses.
#[derive(Debug)]
pub enum Resolver {
    /// As this machine resolves names, with answers cached by their TTL.
    System(System),
    /// A fixed table: for tests, which have no name server.
    Table(Arc<HashMap<String, Vec<IpAddr>>>),
}

/// The machine's files, and what asks its name servers from one worker.
#[derive(Debug)]
pub struct System {
    files: Arc<NameFiles>,
    dns: RefCell<Option<Arc<Dns>>>,
    /// What the files said when connections were last looked for.
    seen: RefCell<Option<Names>>,
}

impl Resolver {
    /// For one worker, by files that all of them share.
    pub fn system(files: Arc<NameFiles>) -> Resolver {
        Resolver::System(System { files, dns: RefCell::default(), seen: RefCell::default() })
    }

    /// Whether this machine resolves names otherwise than when this was last asked.
    pub(super) fn has_changed(&self, clock: &Clock) -> bool {
        let Resolver::System(System { files, seen, .. }) = self else { return false };
        let names = files.names(clock.monotonic_ms());
        let before = seen.replace(Some(names.clone()));
        before.is_some_and(|before| !before.is_same(&names))
    }

    /// Addresses of a host. An address is its own; `localhost` and names below it are loopback
    /// whatever a name server says (RFC 6761 §6.3).
    pub(super) async fn find(&self, clock: &Clock, host: &Host) -> Result<Found, Failure> {
        if let Some(ip) = host.ip() {
            return Ok(vec![ip].into());
        }
        let name = host.as_str();
        let is_localhost = name == "localhost" || name.ends_with(".localhost");
        let loopback = || vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        match self {
            Resolver::Table(_) if is_localhost => Ok(loopback().into()),
            Resolver::Table(table) => {
                let addresses = table.get(name).cloned().map(Found::from);
                addresses.ok_or_else(|| Unresolved::NotFound.failure(name))
            }
            Resolver::System(System { files, dns, .. }) => {
                let names = files.names(clock.monotonic_ms());
                if let Some(addresses) = names.hosts.get(name) {
                    return Ok(addresses.clone().into());
                }
                if is_localhost {
                    return Ok(loopback().into());
                }
                let current = dns.borrow().clone().filter(|dns| dns.is_for(&names.servers));
                let dns = match current {
                    Some(current) => current,
                    None => dns.borrow_mut().insert(Arc::new(Dns::new(names.servers)?)).clone(),
                };
                dns.find(clock, host).await
            }
        }
    }
}
