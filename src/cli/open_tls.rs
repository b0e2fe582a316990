//! What TLS needs: whom origins must be vouched for by, and with what authority HTTPS is looked into.
//!
//! Without roots nothing of an origin can be verified: `https` URIs are then not fetched, and
//! interception is no start.

use std::sync::Arc;

use anyhow::Context as _;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::{BlockPage, Settings};
use crate::policy::HostSet;
use crate::proxy::{BlockedHost, Exceptions, Interception};
use crate::tls::{Authority, Leaves, OriginTls, OwnRoots, Roots, Verification};

/// Both sides of TLS, as far as the settings ask for them.
pub(super) struct Tls {
    pub(super) origins: Option<Arc<OriginTls>>,
    pub(super) intercept: Option<Interception>,
}

/// Opens the authority, if there is one or there shall be one, and reads the roots.
pub(super) fn open_tls(settings: &Settings, clock: &Clock) -> anyhow::Result<Tls> {
    let folder = &settings.ca_dir;
    let of_folder = || format!("the authority in {} can't be used", folder.display());
    let intercept = &settings.intercept;
    let authority = if intercept.enabled {
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
    let intercept = match authority {
        Some(authority) if intercept.enabled => Some(interception(settings, authority, clock)?),
        _ => None,
    };
    Ok(Tls { origins, intercept })
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
    for warning in &roots.warnings {
        warn!("{warning}");
    }
    Ok(roots)
}

fn interception(settings: &Settings, authority: Authority, clock: &Clock) -> anyhow::Result<Interception> {
    let intercept = &settings.intercept;
    info!("HTTPS is looked into, with {} in {}", authority.name(), authority.certificate_path().display());
    let except = HostSet::build(&intercept.except)?;
    let blocked = match intercept.block_page {
        BlockPage::Tunnel => BlockedHost::Refused,
        BlockPage::Intercept => BlockedHost::Page,
    };
    let exceptions = if intercept.learn_exceptions { Exceptions::Learned } else { Exceptions::Configured };
    Ok(Interception::new(Leaves::new(authority, clock.clone())?, except, blocked, exceptions))
}
