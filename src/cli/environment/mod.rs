//! `larder env`: what tells programs to use the proxy, and to trust its authority.
//!
//! No two programs read the same variables: `variables.rs` has them in one table, `files.rs` makes
//! the files that they name, `formats.rs` writes them down for shells and tools.

mod files;
mod formats;
mod variables;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use super::args::EnvArgs;
use super::commands::{bad_config, print};
use super::control_client::ask_status;
use super::warm::reachable;
use crate::config::{Environment, Settings};
use crate::http::Scheme;
use crate::tls::Authority;

pub(super) use files::bundle;
pub use formats::EnvFormat;
pub(super) use variables::Variables;

/// `larder env`.
pub fn env(args: &EnvArgs) -> anyhow::Result<ExitCode> {
    let settings = match args.client.settings() {
        Ok(settings) => settings,
        Err(error) => return Ok(bad_config(&error)),
    };
    let status = ask_status(&settings.cache_dir)?;
    // Without TLS every program can use it; within TLS, those that know such proxies.
    let (scheme, addresses, ca_dir) = match status.addresses.is_empty() {
        false => (Scheme::Http, &status.addresses, &status.ca_dir),
        true => (Scheme::Https, &status.within_tls, &status.listener_ca_dir),
    };
    let ca_dir = ca_dir.as_ref().or(status.ca_dir.as_ref()).map(PathBuf::as_path);
    let mut variables = variables(addresses, ca_dir, &settings, args.no_proxy.as_deref())?;
    variables.scheme = scheme;
    if scheme == Scheme::Https && matches!(args.format, EnvFormat::Maven | EnvFormat::Gradle) {
        anyhow::bail!("the JVM can't use a proxy within TLS: give larder a listener without https://, too");
    }
    print(&formats::laid_out(&variables, args.format))
}

/// What programs are told of a proxy that listens there. With `ca_dir` it looks into HTTPS, and the
/// files that this needs are made beside the authority.
pub(super) fn variables(
    addresses: &[SocketAddr],
    ca_dir: Option<&Path>,
    settings: &Settings,
    no_proxy: Option<&str>,
) -> anyhow::Result<Variables> {
    let environment = Environment::of_process();
    let proxy = addresses.iter().find(|address| address.ip().is_loopback()).or(addresses.first());
    let proxy = proxy.copied().map(reachable).context("larder listens nowhere without TLS")?;
    let scheme = Scheme::Http;
    let files = match ca_dir {
        None => None,
        Some(folder) => {
            let authority = Authority::find(folder)?;
            let authority = authority.with_context(|| format!("no authority in {}", folder.display()))?;
            Some(files::make(&authority, settings, &environment)?)
        }
    };
    let no_proxy = no_proxy.map(str::to_owned).or_else(|| environment.no_proxy.clone());
    Ok(Variables { scheme, proxy, no_proxy, files, java_options: environment.java_options })
}
