//! What TLS needs: whom origins must be vouched for by, and with what authority HTTPS is intercepted.
//!
//! Without roots nothing of an origin can be verified: `https` URIs are then not fetched, and
//! interception is no start.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::environment::certificates;
use crate::clock::Clock;
use crate::config::{self, BlockPage, Settings};
use crate::http::{Host, Scheme};
use crate::policy::HostSet;
use crate::proxy::{BlockedHost, Exceptions, Intercepted, Interception, Unreadable};
use crate::tls::{Alpn, Authority, Leaves, ListenerTls, OriginTls, OwnRoots, Roots, Verification};

/// Both sides of TLS, as far as the settings ask for them.
pub(super) struct Tls {
    pub(super) origins: Option<Arc<OriginTls>>,
    pub(super) intercept: Option<Interception>,
    pub(super) listener: Option<ListenerTls>,
}

/// Opens the authority, if there is one or there shall be one, and reads the roots.
pub(super) fn open_tls(settings: &Settings, clock: &Clock) -> anyhow::Result<Tls> {
    let folder = &settings.ca_dir;
    let of_folder = || format!("the authority in {} can't be used", folder.display());
    let intercept = &settings.intercept;
    let has_listener = settings.server.listen.iter().any(|listen| listen.scheme == Scheme::Https);
    let signs_for_listener = has_listener && settings.tls.certificate.is_none();
    let shows_blocks = intercept.block_page == BlockPage::Intercept;
    let authority = if intercept.enabled || shows_blocks || signs_for_listener {
        Some(Authority::open(folder, &intercept.name_constraints, clock).with_context(of_folder)?)
    } else {
        // It may be among the roots of this machine, and no origin may lead to it.
        Authority::find(folder).unwrap_or_else(|error| {
            warn!("{}: {error}", of_folder());
            None
        })
    };
    let own = authority.as_ref().map(|authority| authority.own_roots().clone()).unwrap_or_default();
    let origins = match roots(settings, &own) {
        Ok(roots) => {
            let verification = Verification { roots, own, pins: intercept.pins.clone() };
            Some(Arc::new(OriginTls::new(verification, clock.clone())))
        }
        Err(error) if intercept.enabled || intercept.roots.is_some() => return Err(error),
        Err(error) => {
            warn!("https URIs can't be fetched, only tunnelled: {error:#}");
            None
        }
    };
    let authority = authority.map(Arc::new);
    let listener = match &authority {
        Some(authority) if signs_for_listener => Some(own_listener(authority, clock)?),
        _ if has_listener => configured_listener(settings, clock)?,
        _ => None,
    };
    let listener = listener.map(|listener| listener.offering(alpn(settings)));
    let intercept = match authority {
        Some(authority) if intercept.enabled || shows_blocks => {
            Some(interception(settings, authority, clock)?)
        }
        _ => None,
    };
    Ok(Tls { origins, intercept, listener })
}

/// What the authority signs for: the names under which clients of this machine, or of its network,
/// know it. Addresses are signed for as they are reached.
fn own_listener(authority: &Arc<Authority>, clock: &Clock) -> anyhow::Result<ListenerTls> {
    info!(
        "clients of https:// listeners need {} in {}",
        authority.name(),
        authority.certificate_path().display()
    );
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // What is no host's name can't be asked for.
    let names = ["localhost", &machine].into_iter().filter_map(|name| Host::parse_text(name).ok());
    Ok(ListenerTls::own(Leaves::new(Arc::clone(authority), clock.clone())?, names.collect()))
}

/// The certificate that the settings name for listeners, if they name one.
#[expect(clippy::disallowed_methods, reason = "at the start and on a reload, two small files")]
pub(super) fn configured_listener(settings: &Settings, clock: &Clock) -> anyhow::Result<Option<ListenerTls>> {
    let (Some(certificate), Some(key)) = (&settings.tls.certificate, &settings.tls.key) else {
        return Ok(None);
    };
    let of = |path: &Path| format!("the certificate or key in {} can't be used", path.display());
    let chain = std::fs::read(certificate).with_context(|| of(certificate))?;
    let secret = Zeroizing::new(std::fs::read(key).with_context(|| of(key))?);
    let listener = ListenerTls::configured(&chain, &secret, clock.clone());
    let listener = listener.with_context(|| format!("{} and {}", certificate.display(), key.display()))?;
    Ok(Some(listener.offering(alpn(settings))))
}

/// What listeners with TLS offer.
fn alpn(settings: &Settings) -> Alpn {
    if settings.server.http2 { Alpn::Http2 } else { Alpn::Http1 }
}

#[expect(clippy::disallowed_methods, reason = "at the start, before anybody is served")]
fn roots(settings: &Settings, own: &OwnRoots) -> anyhow::Result<Roots> {
    let roots = match &settings.intercept.roots {
        None => Roots::of_machine(own)?,
        Some(bundle) => {
            let of_bundle = || format!("the roots in {} can't be used", bundle.display());
            let pem = std::fs::read(bundle).with_context(of_bundle)?;
            Roots::from_pem(&pem, own).with_context(of_bundle)?
        }
    };
    let roots = roots.and(certificates(&settings.intercept.extra_roots), own);
    for warning in &roots.warnings {
        warn!("{warning}");
    }
    Ok(roots)
}

fn interception(
    settings: &Settings,
    authority: Arc<Authority>,
    clock: &Clock,
) -> anyhow::Result<Interception> {
    let intercept = &settings.intercept;
    let (name, path) = (authority.name(), authority.certificate_path());
    match intercept.enabled {
        true => info!("HTTPS is intercepted with {name} in {}", path.display()),
        false => {
            info!("only blocked hosts are intercepted (authority {name}, certificate {})", path.display())
        }
    }
    let except = HostSet::build(&intercept.except)?;
    let blocked = match intercept.block_page {
        BlockPage::Tunnel => BlockedHost::Refused,
        BlockPage::Intercept => BlockedHost::Page,
    };
    let exceptions = if intercept.learn_exceptions { Exceptions::Learned } else { Exceptions::Configured };
    let leaves = Leaves::new(authority, clock.clone())?;
    let mut interception = Interception::new(leaves, except, blocked, exceptions);
    interception.intercepted = if intercept.enabled { Intercepted::All } else { Intercepted::Blocked };
    interception.unreadable = match intercept.unreadable {
        config::Unreadable::Tunnel => Unreadable::Tunnel,
        config::Unreadable::Refuse => Unreadable::Refuse,
    };
    Ok(interception)
}
