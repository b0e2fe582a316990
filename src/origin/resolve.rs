//! From names to addresses.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hickory_resolver::TokioResolver;

use crate::error::{ErrorType, Failure, Fault};
use crate::http::Host;

/// A source of addresses.
#[derive(Clone)]
pub enum Resolver {
    /// The machine's configured name servers and hosts file, with answers cached by their TTL.
    System(Box<TokioResolver>),
    /// A fixed table: for tests, which have no name server.
    Table(Arc<HashMap<String, Vec<IpAddr>>>),
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Resolver::System(_) => "Resolver::System",
            Resolver::Table(_) => "Resolver::Table",
        })
    }
}

impl Resolver {
    /// The machine's resolver.
    pub fn system() -> Result<Resolver, String> {
        let builder = TokioResolver::builder_tokio().map_err(|error| error.to_string())?;
        let resolver = builder.build().map_err(|error| error.to_string())?;
        Ok(Resolver::System(Box::new(resolver)))
    }

    /// All addresses of a host. An address is its own; `localhost` and names below it are
    /// loopback whatever a name server says (RFC 6761 §6.3).
    pub async fn addresses(&self, host: &Host) -> Result<Vec<IpAddr>, Failure> {
        if let Some(ip) = host.ip() {
            return Ok(vec![ip]);
        }
        let name = host.as_str();
        if name == "localhost" || name.ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        match self {
            Resolver::Table(table) => table.get(name).cloned().ok_or_else(|| not_found(name)),
            Resolver::System(resolver) => {
                // The trailing dot keeps search domains out: the client named this host.
                let found =
                    resolver.lookup_ip(format!("{name}.")).await.map_err(|error| failure(name, &error))?;
                Ok(found.iter().collect())
            }
        }
    }
}

fn failure(name: &str, error: &hickory_resolver::net::NetError) -> Failure {
    if error.is_no_records_found() {
        return not_found(name);
    }
    Failure::new(ErrorType::DnsError, Fault::Origin, 502, "The host's name could not be resolved")
        .with_internal(format_args!("{name}: {error}"))
}

fn not_found(name: &str) -> Failure {
    Failure::new(ErrorType::DnsError, Fault::Origin, 502, "The host's name does not exist")
        .with_internal(name)
}
