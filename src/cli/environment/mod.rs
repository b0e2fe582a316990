//! `larder env`: what tells programs to use the proxy, and to trust its authority.
//!
//! No two programs read the same variables: `variables.rs` has them in one table, `files.rs` makes
//! the files that they name, `trusted.rs` reads the certificates that go into those, `formats.rs`
//! writes the variables down for shells and tools.

mod files;
mod formats;
mod proxy;
mod trusted;
mod variables;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use super::args::EnvArgs;
use super::control_client::ask_status;
use super::output::{bad_config, print};
use super::warm::reachable;
use crate::config::{Environment, Settings};
use crate::http::Scheme;
use crate::tls::Authority;

pub use formats::EnvFormat;
pub use proxy::ProxyAddress;
pub(super) use trusted::{bundle, certificates, named_by_user, of_machine};
pub(super) use variables::{MARK, NO_PROXY, Variables};

use trusted::Trusted;
use variables::ClientFiles;

/// `larder env`.
pub fn env(args: &EnvArgs) -> anyhow::Result<ExitCode> {
    let settings = match args.client.settings() {
        Ok(settings) => settings,
        Err(error) => return Ok(bad_config(&error)),
    };
    let no_proxy = args.no_proxy.as_deref();
    let variables = match &args.proxy {
        Some(proxy) => elsewhere(proxy, args.ca.as_deref(), &settings, no_proxy)?,
        None => of_running(&settings, no_proxy)?,
    };
    let is_for_jvm = matches!(args.format, EnvFormat::Maven | EnvFormat::Gradle);
    if is_for_jvm && variables.proxy.scheme() == Scheme::Https {
        anyhow::bail!("Java can't use a proxy over TLS: add a listener without https://");
    }
    print(&formats::laid_out(&variables, args.format))
}

/// What programs are told of the Larder that is running.
fn of_running(settings: &Settings, no_proxy: Option<&str>) -> anyhow::Result<Variables> {
    let status = ask_status(&settings.cache_dir)?;
    // Without TLS every program can use it; within TLS, those that know such proxies.
    let (scheme, addresses, ca_dir) = match status.addresses.is_empty() {
        false => (Scheme::Http, &status.addresses, &status.ca_dir),
        true => (Scheme::Https, &status.within_tls, &status.listener_ca_dir),
    };
    let ca_dir = ca_dir.as_ref().or(status.ca_dir.as_ref()).map(PathBuf::as_path);
    let mut variables = variables(addresses, ca_dir, settings, no_proxy)?;
    variables.proxy = variables.proxy.spoken_to_in(scheme);
    Ok(variables)
}

/// What programs are told of a proxy that listens there. With `ca_dir` it intercepts HTTPS, and the
/// files that this needs are made beside the authority.
pub(super) fn variables(
    addresses: &[SocketAddr],
    ca_dir: Option<&Path>,
    settings: &Settings,
    no_proxy: Option<&str>,
) -> anyhow::Result<Variables> {
    let environment = Environment::of_process();
    let proxy = addresses.iter().find(|address| address.ip().is_loopback()).or(addresses.first());
    let proxy = proxy.copied().map(reachable).context("Larder has no listener without TLS")?;
    let files = match ca_dir {
        None => None,
        Some(folder) => {
            let authority = Authority::find(folder)?;
            let authority = authority.with_context(|| format!("no authority in {}", folder.display()))?;
            Some(files::make(&Trusted::of(&authority), &folder.join("clients"), settings, &environment)?)
        }
    };
    told(ProxyAddress::try_from(proxy)?, files, environment, no_proxy)
}

/// The same of a Larder on another machine, whose certificate is in a file here.
fn elsewhere(
    proxy: &ProxyAddress,
    certificate: Option<&Path>,
    settings: &Settings,
    no_proxy: Option<&str>,
) -> anyhow::Result<Variables> {
    let environment = Environment::of_process();
    let files = match certificate {
        None => None,
        Some(file) => {
            let trusted = Trusted::read(file)?;
            let folder = settings.ca_dir.with_file_name("clients").join(&trusted.root.label);
            Some(files::make(&trusted, &folder, settings, &environment)?)
        }
    };
    told(proxy.clone(), files, environment, no_proxy)
}

fn told(
    proxy: ProxyAddress,
    files: Option<ClientFiles>,
    environment: Environment,
    no_proxy: Option<&str>,
) -> anyhow::Result<Variables> {
    let no_proxy = no_proxy.map(str::to_owned).or_else(|| environment.no_proxy.clone());
    Ok(Variables { proxy, no_proxy, files, environment })
}
