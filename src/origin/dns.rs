//! Asking the name servers: both families at once, and no longer than it takes to begin (RFC 8305 §3).
//!
//! A family that fails or stays silent is not a failure while the other one has addresses. What went
//! wrong where neither has any is told apart, because an operator mends each in another place.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver};

use super::name_files::ResolvConf;
use crate::clock::Clock;
use crate::error::{ErrorType, Failure, Fault};
use crate::http::Host;

/// RFC 8305 §3: how long A records wait for the AAAA records that have not come yet.
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// What asks the name servers of one resolv.conf. It is made anew when that changes, and its cached
/// answers go with it: another network has others.
pub(super) struct Dns {
    conf: Arc<ResolvConf>,
    resolver: TokioResolver,
}

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dns").field("conf", &self.conf).finish_non_exhaustive()
    }
}

/// Addresses that were found.
pub(super) struct Found {
    pub addresses: Vec<IpAddr>,
    /// Those of the other family, where they have still to come; none if they never do.
    pub later: Option<Pin<Box<dyn Future<Output = Vec<IpAddr>>>>>,
    /// The name under which they were found, where a search domain was put behind it.
    pub qualified: Option<Host>,
}

impl From<Vec<IpAddr>> for Found {
    fn from(addresses: Vec<IpAddr>) -> Found {
        Found { addresses, later: None, qualified: None }
    }
}

/// The answer to one question, still to come.
type Asked = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, Unresolved>>>>;

impl Dns {
    /// For these name servers.
    pub(super) fn new(conf: Arc<ResolvConf>) -> Result<Dns, Failure> {
        if conf.servers.is_empty() {
            return Err(no_name_server());
        }
        let servers = conf.servers.iter().map(name_server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.timeout = conf.timeout;
        options.attempts = conf.attempts;
        // All of them at once: the first may be gone.
        options.num_concurrent_reqs = conf.servers.len();
        // Over TCP, which truncated answers are asked for by: as many as anybody may wait for.
        options.max_active_requests = 1024;
        options.use_hosts_file = ResolveHosts::Never;
        let mut resolver = builder.build().map_err(|error| Unresolved::of(&error).failure("resolv.conf"))?;
        resolver.set_hosts(Arc::new(Hosts::default()));
        Ok(Dns { conf, resolver })
    }

    /// Whether this asks the name servers that `conf` names.
    pub(super) fn is_for(&self, conf: &ResolvConf) -> bool {
        *self.conf == *conf
    }

    /// Addresses of a name, under the first of its candidates that has any.
    pub(super) async fn find(&self, clock: &Clock, host: &Host) -> Result<Found, Failure> {
        for candidate in self.in_search_domains(host) {
            match self.find_exactly(clock, &candidate).await {
                Ok(found) => return Ok(Found { qualified: Some(candidate), ..found }),
                Err(Unresolved::NotFound | Unresolved::NoAddress) => {}
                Err(unresolved) => return Err(unresolved.failure(candidate.as_str())),
            }
        }
        self.find_exactly(clock, host).await.map_err(|unresolved| unresolved.failure(host.as_str()))
    }

    /// The names that this one may be short for. Other than in resolv.conf(5), one with dots enough is
    /// never tried with a search domain behind it: a misspelled name would lead into the company.
    fn in_search_domains(&self, host: &Host) -> Vec<Host> {
        let name = host.as_str();
        if name.matches('.').count() >= self.conf.ndots {
            return Vec::new();
        }
        let qualified = |domain: &Host| Host::parse_text(&format!("{name}.{domain}")).ok();
        self.conf.search.iter().filter_map(qualified).collect()
    }

    async fn find_exactly(&self, clock: &Clock, host: &Host) -> Result<Found, Unresolved> {
        // "the client SHOULD [...] send [...] the AAAA query first, followed immediately by the A query".
        let mut six = self.ask(host, RecordType::AAAA);
        let mut four = self.ask(host, RecordType::A);
        let (mut of_six, mut of_four): (Option<Result<Vec<IpAddr>, Unresolved>>, Option<Result<_, _>>) =
            (None, None);
        loop {
            let has_four = matches!(of_four, Some(Ok(_)));
            tokio::select! {
                biased;
                answer = &mut six, if of_six.is_none() => of_six = Some(answer),
                answer = &mut four, if of_four.is_none() => of_four = Some(answer),
                // "If a positive A response is received first [...] the client SHOULD wait a short time
                // for the AAAA response": 50 ms.
                () = clock.sleep(RESOLUTION_DELAY), if has_four => break,
            }
            // "If a positive AAAA response [...] is received first, the first IPv6 connection attempt is
            // immediately started"; and where both have come there is nothing to wait for.
            if matches!(of_six, Some(Ok(_))) || (of_six.is_some() && of_four.is_some()) {
                break;
            }
        }
        let later = match (&of_six, &of_four) {
            (None, _) => Some(six),
            (_, None) => Some(four),
            _ => None,
        };
        let mut addresses = Vec::new();
        let mut worst = Unresolved::NoAddress;
        for answer in [of_six, of_four].into_iter().flatten() {
            match answer {
                Ok(found) => addresses.extend(found),
                Err(unresolved) => worst = worst.or_worse(unresolved),
            }
        }
        if addresses.is_empty() {
            return Err(worst);
        }
        let later = later.map(|later| -> Pin<Box<dyn Future<Output = Vec<IpAddr>>>> {
            Box::pin(async move { later.await.unwrap_or_default() })
        });
        Ok(Found { addresses, later, qualified: None })
    }

    /// Asks for the addresses of one family.
    fn ask(&self, host: &Host, family: RecordType) -> Asked {
        // Label by label: the library's own parsers of text refuse what is only unusual in a name.
        let name = Name::from_labels(host.as_str().split('.').map(str::as_bytes));
        let resolver = self.resolver.clone();
        Box::pin(async move {
            let name = name.map_err(|_too_long| Unresolved::NotFound)?;
            let answer = resolver.lookup(name, family).await.map_err(|error| Unresolved::of(&error))?;
            let addresses: Vec<IpAddr> =
                answer.answers().iter().filter_map(|record| record.data.ip_addr()).collect();
            if addresses.is_empty() { Err(Unresolved::NoAddress) } else { Ok(addresses) }
        })
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

/// Why a name has no address, in the order in which they count where two families differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unresolved {
    /// NODATA (RFC 2308 §2.2): the name exists.
    NoAddress,
    TimedOut,
    /// The name servers can't be reached.
    Unreachable(String),
    Malformed(String),
    /// Another response code than those of an answer.
    Refused(Cow<'static, str>),
    /// NXDOMAIN.
    NotFound,
}

impl Unresolved {
    fn of(error: &NetError) -> Unresolved {
        match error {
            NetError::Timeout => Unresolved::TimedOut,
            NetError::Dns(DnsError::NoRecordsFound(none)) => Unresolved::of_code(none.response_code),
            NetError::Dns(DnsError::ResponseCode(code)) => Unresolved::of_code(*code),
            NetError::Io(_) | NetError::NoConnections | NetError::Busy => {
                Unresolved::Unreachable(error.to_string())
            }
            _ => Unresolved::Malformed(error.to_string()),
        }
    }

    fn of_code(code: ResponseCode) -> Unresolved {
        match code {
            ResponseCode::NoError => Unresolved::NoAddress,
            ResponseCode::NXDomain => Unresolved::NotFound,
            ResponseCode::FormErr => Unresolved::Refused("FORMERR".into()),
            ResponseCode::ServFail => Unresolved::Refused("SERVFAIL".into()),
            ResponseCode::NotImp => Unresolved::Refused("NOTIMP".into()),
            ResponseCode::Refused => Unresolved::Refused("REFUSED".into()),
            other => Unresolved::Refused(format!("RCODE{}", u16::from(other)).into()),
        }
    }

    fn or_worse(self, other: Unresolved) -> Unresolved {
        self.max(other)
    }

    /// As what the client is told. RFC 9209 §2.3.2: `rcode` is the response code.
    pub(super) fn failure(self, name: &str) -> Failure {
        let dns_error = |public: &'static str, rcode: Option<Cow<'static, str>>| {
            let failure = Failure::new(ErrorType::DnsError, Fault::Origin, 502, public);
            let failure = failure.with_internal(name);
            rcode.map_or_else(|| failure.clone(), |rcode| failure.clone().with_parameter("rcode", rcode))
        };
        match self {
            Unresolved::NotFound => dns_error("The host's name does not exist", Some("NXDOMAIN".into())),
            Unresolved::NoAddress => {
                dns_error("The host's name exists, but has no address", Some("NOERROR".into()))
            }
            Unresolved::Refused(rcode) => {
                let public = match &*rcode {
                    "SERVFAIL" => "The name server could not resolve the host's name",
                    "REFUSED" => "The name server refuses to resolve the host's name",
                    _ => "The name server answered with an error",
                };
                dns_error(public, Some(rcode))
            }
            Unresolved::Malformed(error) => {
                let failure = dns_error("The name server's answer is malformed", None);
                failure.with_internal(format_args!("{name}: {error}"))
            }
            Unresolved::Unreachable(error) => {
                let failure = dns_error("The name servers can't be reached", None);
                failure.with_internal(format_args!("{name}: {error}"))
            }
            Unresolved::TimedOut => timed_out(name),
        }
    }
}

/// No answer within the time that a look-up has.
pub(super) fn timed_out(name: &str) -> Failure {
    let public = "No name server answered in time";
    Failure::new(ErrorType::DnsTimeout, Fault::Origin, 504, public).with_internal(name)
}

fn no_name_server() -> Failure {
    let public =
        "No name server is configured on the proxy's machine, and its hosts file does not list this host";
    let failure = Failure::new(ErrorType::DnsError, Fault::Proxy, 502, public);
    failure.with_internal("no nameserver in resolv.conf")
}
