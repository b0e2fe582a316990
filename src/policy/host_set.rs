//! Patterns of hosts as a set: is this host among them? No refusal comes of it, so no rule has to
//! be named.

use crate::http::Host;

use super::pattern::Pattern;
use super::rules::{PolicyError, Rules};

/// Hosts and addresses, by pattern.
#[derive(Clone, Debug, Default)]
pub struct HostSet(Rules);

impl HostSet {
    /// Compiles the patterns; those for URLs match no host.
    pub fn build(patterns: &[Pattern]) -> Result<HostSet, PolicyError> {
        let mut rules = Rules::default();
        let source = rules.add_source("");
        for pattern in patterns {
            rules.add(pattern.clone(), source, 0);
        }
        rules.compile().map(HostSet)
    }

    /// Whether the host, or the address that it is, is among them. Names are not resolved.
    pub fn contains(&self, host: &Host) -> bool {
        let address = host.ip().map_or(Ok(()), |ip| self.0.judge_address(ip));
        address.and_then(|()| self.0.judge_host(host)).is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_addresses() {
        let patterns = ["bank.example", "*.health.example", "pay?.*.example", "192.0.2.0/24", "2001:db8::1"];
        let patterns = patterns.map(|text| text.parse().expect("a pattern"));
        let set = HostSet::build(&patterns).expect("small");
        let cases = [
            ("bank.example", true),
            ("www.bank.example", true),
            ("notbank.example", false),
            ("health.example", false),
            ("my.health.example", true),
            ("pay1.eu.example", true),
            ("pay.eu.example", false),
            ("192.0.2.7", true),
            ("192.0.3.7", false),
            ("2001:db8::1", true),
        ];
        for (host, expected) in cases {
            let host = Host::parse_text(host).expect("a host");
            assert_eq!(set.contains(&host), expected, "{host}");
        }
        assert!(!HostSet::default().contains(&Host::parse_text("bank.example").expect("a host")));
    }
}
