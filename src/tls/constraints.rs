//! Name constraints (RFC 5280 §4.2.1.10): which hosts an authority may sign for at all, so that a
//! stolen key is of use for those alone. Optional; what is constrained is written in the root, and
//! checked by clients.

use std::net::IpAddr;

use ipnet::IpNet;
use rcgen::{CidrSubnet, GeneralSubtree};
use x509_parser::extensions::{GeneralName, NameConstraints as Parsed};

use crate::http::Host;

/// The hosts that are permitted; empty: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameConstraints {
    /// Each with all names below it.
    names: Vec<Host>,
    networks: Vec<IpNet>,
}

impl NameConstraints {
    /// Parses hosts, addresses and networks as they are configured.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<NameConstraints, String> {
        let mut constraints = NameConstraints::default();
        for text in texts {
            constraints.add(text.as_ref()).map_err(|error| format!("{:?}: {error}", text.as_ref()))?;
        }
        Ok(constraints)
    }

    /// Adds one host, address or network.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        if let Ok(network) = text.parse::<IpNet>() {
            self.networks.push(network.trunc());
            return Ok(());
        }
        let host = Host::parse_text(text).map_err(|error| error.to_string())?;
        match host.ip() {
            Some(ip) => self.networks.push(IpNet::from(ip)),
            None => self.names.push(host),
        }
        Ok(())
    }

    /// Whether a certificate for this host would be good.
    pub fn permit(&self, host: &Host) -> bool {
        if self.is_empty() {
            return true;
        }
        match host.ip() {
            Some(ip) => self.networks.iter().any(|network| network.contains(&ip)),
            None => self.names.iter().any(|domain| host.is_within(domain)),
        }
    }

    /// Whether nothing is constrained.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.networks.is_empty()
    }

    /// As the root has them. A kind of name that no permitted subtree is of would be free (RFC
    /// 5280 §4.2.1.10), so it is excluded as a whole.
    pub(super) fn to_extension(&self) -> Option<rcgen::NameConstraints> {
        if self.is_empty() {
            return None;
        }
        let name = |host: &Host| GeneralSubtree::DnsName(host.as_str().to_owned());
        let network = |net: &IpNet| {
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(net.network(), net.prefix_len()))
        };
        let permitted = self.names.iter().map(name).chain(self.networks.iter().map(network));
        let mut excluded = Vec::new();
        if self.names.is_empty() {
            excluded.push(GeneralSubtree::DnsName(String::new()));
        }
        if !self.networks.iter().any(|net| matches!(net, IpNet::V4(_))) {
            excluded.push(GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])));
        }
        if !self.networks.iter().any(|net| matches!(net, IpNet::V6(_))) {
            excluded.push(GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])));
        }
        Some(rcgen::NameConstraints { permitted_subtrees: permitted.collect(), excluded_subtrees: excluded })
    }

    /// What a root permits; `None` for constraints that Larder does not make.
    pub(super) fn from_extension(extension: &Parsed<'_>) -> Option<NameConstraints> {
        let mut constraints = NameConstraints::default();
        for subtree in extension.permitted_subtrees.iter().flatten() {
            match &subtree.base {
                GeneralName::DNSName(name) => constraints.names.push(Host::parse_text(name).ok()?),
                GeneralName::IPAddress(octets) => constraints.networks.push(network(octets)?),
                _ => return None,
            }
        }
        (!constraints.is_empty()).then_some(constraints)
    }
}

/// Address and mask, one behind the other.
fn network(octets: &[u8]) -> Option<IpNet> {
    let (address, mask) = octets.split_at_checked(octets.len() / 2)?;
    let ip = |octets: &[u8]| {
        <[u8; 4]>::try_from(octets)
            .map(IpAddr::from)
            .or_else(|_not_four| <[u8; 16]>::try_from(octets).map(IpAddr::from))
            .ok()
    };
    IpNet::with_netmask(ip(address)?, ip(mask)?).ok()
}
