//! What `larder run` says: before the command, that a proxy of the user's is not used; after it, what
//! went through Larder, and where to look for more.

use super::larder::{ACCESS_NAME, Larder};
use crate::admin::messages::{Counts, RunningStatus};
use crate::admin::numbers::{Size, counted};
use crate::cli::environment::{MARK, NO_PROXY};
use crate::config::{Environment, Settings};

/// Variables that name a proxy, the most telling first.
const PROXIES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// That a proxy which the user has named is left out; `None` where there is none, or no host to use
/// it for.
pub(super) fn dropped_proxy(environment: &Environment) -> Option<String> {
    // Another `larder run` has set it.
    let own = environment.variable(MARK);
    let named = |name: &&str| environment.variable(name).is_some_and(|value| Some(value) != own);
    let name = PROXIES.into_iter().find(named)?;
    let covers_all = |hosts: &str| hosts.split(',').any(|host| host.trim() == "*");
    if environment.no_proxy.as_deref().is_some_and(covers_all) {
        return None;
    }
    let proxy = without_user(environment.variable(name)?);
    Some(format!(
        "larder: {name} ({proxy}) is not used: Larder connects to origins directly. If only that proxy reaches \
         them, run the command without larder run."
    ))
}

/// A proxy's address without the name and password in it.
fn without_user(proxy: &str) -> String {
    match (proxy.split_once("://"), proxy.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        (_, None) => proxy.to_owned(),
    }
}

/// What has gone through the proxy since the command began.
pub(super) fn summary(
    larder: &Larder,
    after: &RunningStatus,
    settings: &Settings,
    no_proxy: Option<&str>,
) -> Vec<String> {
    let counts = after.counts.since(&larder.status.counts);
    let Counts { hits, forwarded, failed, tunnels, denied, bytes_to_clients, bytes_from_origins, .. } =
        counts;
    let requests = hits + forwarded + failed + denied;
    let share = (hits * 100).checked_div(requests).unwrap_or(0);
    let tunnels = match tunnels {
        0 => String::new(),
        tunnels => format!(", {} not decrypted", counted(tunnels, "tunnel")),
    };
    let whose = if after.is_for_run { "" } else { ", those of others included" };
    let mut lines = vec![format!(
        "larder: {}, {hits} of them hits ({share} %), {} of which {} came from origins, {denied} refused\
         {tunnels}{whose}",
        counted(requests, "request"),
        Size(bytes_to_clients),
        Size(bytes_from_origins),
    )];
    if requests == 0 && tunnels.is_empty() {
        let no_proxy = no_proxy.unwrap_or(NO_PROXY);
        lines.push(format!(
            "larder: nothing went through the proxy. The command made no requests, ignores proxy variables, or \
             asked only hosts that go around the proxy ({no_proxy})."
        ));
    } else if after.is_for_run {
        let folder = match larder.folder == settings.cache_dir {
            true => String::new(),
            false => format!("--cache-dir {} ", larder.folder.display()),
        };
        let log = larder.folder.join(ACCESS_NAME);
        lines.push(format!("larder: log in {}; larder explain {folder}URL|REQUEST says why", log.display()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_is_not_used_is_said() {
        // What is set, and what is said of it.
        type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>);
        let cases: &[Case<'_>] = &[
            (&[], None),
            (
                &[("HTTPS_PROXY", "http://us:pw@proxy.corp.test:8080")],
                Some("HTTPS_PROXY (http://proxy.corp.test:8080)"),
            ),
            (&[("https_proxy", "proxy.corp.test:8080")], Some("https_proxy (proxy.corp.test:8080)")),
            (&[("all_proxy", "socks5://proxy.corp.test")], Some("all_proxy (socks5://proxy.corp.test)")),
            (&[("HTTPS_PROXY", "http://proxy.corp.test"), ("NO_PROXY", "*")], None),
            (&[("HTTPS_PROXY", "http://proxy.corp.test"), ("NO_PROXY", "a.test")], Some("HTTPS_PROXY")),
            (&[("HTTPS_PROXY", "")], None),
            (&[("HTTPS_PROXY", "http://127.0.0.1:1"), ("LARDER_RUN", "http://127.0.0.1:1")], None),
            (&[("HTTPS_PROXY", "http://a.test"), ("LARDER_RUN", "http://127.0.0.1:1")], Some("HTTPS_PROXY")),
        ];
        for (set, expected) in cases {
            let variables =
                set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let no_proxy =
                set.iter().find(|(name, _)| *name == "NO_PROXY").map(|(_, value)| (*value).to_owned());
            let environment = Environment { variables, no_proxy, ..Environment::default() };
            let said = dropped_proxy(&environment);
            assert_eq!(said.is_some(), expected.is_some(), "{set:?}: {said:?}");
            if let (Some(said), Some(expected)) = (said, expected) {
                assert!(said.contains(expected) && !said.contains("pw"), "{set:?}: {said}");
            }
        }
    }
}
