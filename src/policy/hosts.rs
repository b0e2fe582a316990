//! Hosts that patterns pick out for something else than a block, say never to be intercepted.

use bytes::Bytes;

use super::PolicyError;
use super::pattern::Pattern;
use super::rules::Rules;
use crate::http::{Authority, Scheme, TargetUri};

/// A set of hosts. Immutable once built.
#[derive(Clone, Debug, Default)]
pub struct HostSet(Rules);

impl HostSet {
    /// All hosts that one of the patterns is for. `name` is where they stand.
    pub fn new(name: &str, patterns: &[Pattern]) -> Result<HostSet, PolicyError> {
        let mut rules = Rules::default();
        let source = rules.add_source(name);
        for pattern in patterns {
            rules.add(pattern.clone(), source, 0);
        }
        Ok(HostSet(rules.compile()?))
    }

    /// The pattern that picks this host, if one does. An expression is asked about `https://host/`;
    /// names are not resolved.
    pub fn find(&self, authority: &Authority) -> Option<String> {
        let Authority { host, .. } = authority;
        let (scheme, path_and_query) = (Scheme::Https, Bytes::from_static(b"/"));
        let uri = TargetUri { scheme, authority: authority.clone(), path_and_query };
        let judged = self.0.judge_host(host).and_then(|()| self.0.judge_url(&uri));
        let judged = judged.and_then(|()| host.ip().map_or(Ok(()), |ip| self.0.judge_address(ip)));
        judged.err().map(|found| found.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_pick_hosts() {
        let patterns = ["bank.example", "*.clinic.example", "10.0.0.0/8", "^https://a\\.example:8443/"];
        let patterns: Vec<Pattern> = patterns.iter().map(|text| text.parse().expect("a pattern")).collect();
        let set = HostSet::new("except", &patterns).expect("few patterns");
        let rows = [
            ("bank.example:443", true),
            ("www.bank.example:443", true),
            ("notbank.example:443", false),
            ("my.clinic.example:443", true),
            ("10.1.2.3:443", true),
            ("11.1.2.3:443", false),
            ("a.example:8443", true),
            ("a.example:443", false),
        ];
        for (text, expected) in rows {
            let authority = Authority::parse(&Bytes::from_static(text.as_bytes()), None).expect("valid");
            assert_eq!(set.find(&authority).is_some(), expected, "{text}");
        }
    }
}
