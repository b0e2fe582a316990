//! The policy itself, and its questions: may this client come in, may this URI be asked for, may
//! this port be, may a tunnel go there, may this address be dialled. The last one sees what a name
//! resolved to and the others see text, so that no name smuggles an address past the rules.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use crate::http::{Authority, Host, Scheme, TargetUri};

use super::address::{canonical, forms, is_private_client};
use super::rules::Rules;
use super::special::{is_metadata, link_local, special};
use super::{Config, HostSet, Pattern, PolicyError, Refusal, RefusalReason, Warning, list, ports};

/// Everything that is decided about who may do what.
#[derive(Clone, Debug)]
pub struct Policy {
    config: Arc<Config>,
    lenient: Arc<HostSet>,
    /// From `[access] block` and the list files.
    configured: Arc<Rules>,
    /// From `larder block`.
    runtime: Arc<Rules>,
}

/// Who can reach a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenerScope {
    /// Bound to a loopback address: programs of this machine.
    Loopback,
    /// Bound to anything else: whoever the network lets through.
    Open,
}

/// What goes to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortOf {
    /// A request that Larder sends itself.
    Request,
    /// The octets of a tunnel, or what comes out of one that is intercepted.
    Tunnel,
}

impl ListenerScope {
    /// The scope of a listener bound to `address`.
    pub fn of(address: SocketAddr) -> ListenerScope {
        if canonical(address.ip()).is_loopback() { ListenerScope::Loopback } else { ListenerScope::Open }
    }
}

impl Policy {
    /// Builds a policy from its parts: the table of the configuration, the names and texts of
    /// the list files, and the patterns added at run time.
    pub fn build(
        config: &Config,
        lists: Vec<(String, String)>,
        runtime: &[String],
    ) -> Result<(Policy, Vec<Warning>), PolicyError> {
        let mut warnings = Vec::new();
        let mut rules = Rules::default();
        let source = rules.add_source("[access] block");
        for pattern in &config.block {
            rules.add(pattern.clone(), source, 0);
        }
        for (name, text) in &lists {
            list::add_list(&mut rules, name, text, &mut warnings);
        }
        let policy = Policy {
            config: Arc::new(config.clone()),
            lenient: Arc::new(HostSet::build(&config.lenient_origins)?),
            configured: Arc::new(rules.compile()?),
            runtime: Arc::default(),
        };
        let (policy, more) = policy.with_runtime(runtime)?;
        warnings.extend(more);
        Ok((policy, warnings))
    }

    /// The same policy with other run-time patterns. Cheap: the configured rules are shared.
    pub fn with_runtime(&self, patterns: &[String]) -> Result<(Policy, Vec<Warning>), PolicyError> {
        let mut warnings = Vec::new();
        let mut rules = Rules::default();
        let source = rules.add_source("larder block");
        for pattern in patterns {
            match pattern.parse() {
                Ok(pattern) => rules.add(pattern, source, 0),
                Err(error) => {
                    warnings.push(Warning {
                        place: "larder block".into(),
                        message: format!("{pattern:?}: {error}"),
                    });
                }
            }
        }
        Ok((Policy { runtime: Arc::new(rules.compile()?), ..self.clone() }, warnings))
    }

    /// Whether the operator has this origin's malformed heads repaired.
    pub fn is_lenient(&self, host: &Host) -> bool {
        !self.config.lenient_origins.is_empty() && self.lenient.contains(host)
    }

    /// The number of patterns that block.
    pub fn rule_count(&self) -> usize {
        self.configured.len() + self.runtime.len()
    }

    /// May `client` use a listener of this scope at all?
    pub fn admit_client(&self, client: IpAddr, listener: ListenerScope) -> Result<(), Refusal> {
        let client = canonical(client);
        if let Some(network) = self.config.block_clients.iter().find(|network| network.contains(client)) {
            let list = Some("[access] block_clients".to_owned());
            return Err(Refusal { rule: network.to_string(), reason: RefusalReason::BlockedClient, list });
        }
        let (admitted, detail) = match (&self.config.clients, listener) {
            (Some(clients), _) => {
                (clients.iter().any(|network| network.contains(client)), "[access] clients")
            }
            (None, ListenerScope::Loopback) => (client.is_loopback(), "built in: loopback clients"),
            (None, ListenerScope::Open) => (is_private_client(client), "built in: private-network clients"),
        };
        if admitted {
            return Ok(());
        }
        Err(Refusal::built_in(RefusalReason::ClientNotAdmitted, Some(detail.to_owned())))
    }

    /// May `target` be asked for? Judges the host and the URI as they are written; the address
    /// that the host turns out to have is [`Policy::judge_address`]'s.
    pub fn judge_target(&self, target: &TargetUri) -> Result<(), Refusal> {
        let host = &target.authority.host;
        for rules in self.rules() {
            rules.judge_host(host)?;
            if let Some(ip) = host.ip() {
                forms(ip).try_for_each(|form| rules.judge_address(form))?;
            }
            rules.judge_url(target)?;
        }
        Ok(())
    }

    /// Whether some pattern for URLs could match a URL of this host and port.
    pub fn has_url_rule_about(&self, authority: &Authority) -> bool {
        self.rules().any(|rules| rules.has_url_about(authority))
    }

    /// May this host be reached, whatever is asked of it?
    pub fn judge_host(&self, host: &Host) -> Result<(), Refusal> {
        self.rules().try_for_each(|rules| rules.judge_host(host))
    }

    /// May a tunnel go to `authority`? Judges it as the `https` URI that is most likely asked
    /// for in it (`http` on port 80), and the port.
    pub fn judge_connect(&self, authority: &Authority) -> Result<(), Refusal> {
        let scheme = if authority.port == Scheme::Http.default_port() { Scheme::Http } else { Scheme::Https };
        let path_and_query = Bytes::from_static(b"/");
        self.judge_target(&TargetUri { scheme, authority: authority.clone(), path_and_query })?;
        self.judge_port(authority.port, PortOf::Tunnel)
    }

    /// May this port be reached at all? A request is text that its sender chooses, and what listens at
    /// a port of mail or of a database may take it for commands.
    pub fn judge_port(&self, port: u16, of: PortOf) -> Result<(), Refusal> {
        let (open, key, reason) = match of {
            PortOf::Request => (&self.config.ports, "ports", RefusalReason::RequestPort),
            PortOf::Tunnel => (&self.config.connect_ports, "connect_ports", RefusalReason::Port),
        };
        if ports::is_open(open, port) {
            return Ok(());
        }
        let service = ports::service(port).map_or(String::new(), |service| format!(" ({service})"));
        Err(Refusal::built_in(reason, Some(format!("[access] {key} without {port}{service}"))))
    }

    /// May `address` be dialled for a client of such a listener? Asked of every address that a
    /// name resolved to, and of the peer once connected. `own` are the addresses that Larder
    /// listens on and, under any port, the machine's local addresses.
    pub fn judge_address(
        &self,
        address: SocketAddr,
        listener: ListenerScope,
        own: &[SocketAddr],
    ) -> Result<(), Refusal> {
        let refused_ranges = match listener {
            ListenerScope::Loopback => link_local,
            ListenerScope::Open => special,
        };
        let opened = self.is_allowed(address.ip());
        for form in forms(address.ip()) {
            if is_own(SocketAddr::new(form, address.port()), own) {
                return Err(Refusal::built_in(RefusalReason::OwnAddress, None));
            }
            if is_metadata(form) {
                return Err(Refusal::built_in(RefusalReason::Metadata, None));
            }
            for rules in self.rules().filter(|rules| rules.has_networks()) {
                rules.judge_address(form)?;
            }
            if opened || self.is_allowed(form) {
                continue;
            }
            if let Some((network, kind)) = refused_ranges(form) {
                let detail = Some(format!("built in: {network}, {kind}"));
                return Err(Refusal::built_in(RefusalReason::PrivateAddress, detail));
            }
        }
        Ok(())
    }

    /// The rule that blocks all that `pattern` says, if there is one.
    pub fn blocks(&self, pattern: &Pattern) -> Option<Refusal> {
        self.rules().find_map(|rules| rules.covering(pattern))
    }

    fn is_allowed(&self, ip: IpAddr) -> bool {
        self.config.allow_destinations.iter().any(|network| network.contains(ip))
    }

    fn rules(&self) -> impl Iterator<Item = &Rules> {
        [&*self.configured, &*self.runtime].into_iter()
    }
}

/// Whether a connection to `address` ends at one of Larder's own listeners.
fn is_own(address: SocketAddr, own: &[SocketAddr]) -> bool {
    let ip = canonical(address.ip());
    // A connection to the unspecified address goes to the machine itself.
    let local = || ip.is_unspecified() || ip.is_loopback() || own.iter().any(|own| canonical(own.ip()) == ip);
    own.iter().filter(|own| own.port() == address.port()).any(|own| {
        let own = canonical(own.ip());
        own == ip || ip.is_unspecified() || (own.is_unspecified() && local())
    })
}
