//! Certificates in files: those that the machine, the configuration and the user trust, and the
//! authority that is added to them.
//!
//! What the user's own variables name (`REQUESTS_CA_BUNDLE`, `NODE_EXTRA_CA_CERTS` and the like) is part
//! of the files that replace it, so that a command still reaches what it has reached before: directly
//! where `NO_PROXY` says so, and through Larder, which trusts the same certificates.

#![expect(clippy::disallowed_methods, reason = "a command of the user's, not a request")]

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tracing::warn;

use super::super::trust::Root;
use super::variables::{ADDING, BUNDLE, REPLACED};
use crate::config::{Environment, Settings};
use crate::tls::{Authority, RootCertificate};

/// Files of a folder of certificates that are read, at the most; the number is arbitrary.
const FILES_MAX: usize = 4096;

/// Where systems keep all that they trust in one file: Debian, Fedora, openSUSE, Alpine and BSDs.
const MACHINE_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/var/lib/ca-certificates/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The authority that programs are to trust as well.
#[derive(Clone, Debug)]
pub(super) struct Trusted {
    pub(super) root: Root,
    certificates: Vec<Vec<u8>>,
}

impl Trusted {
    pub(super) fn of(authority: &Authority) -> Trusted {
        let root = Root::new(authority.root(), authority.certificate_path());
        Trusted { root, certificates: vec![authority.certificate().to_vec()] }
    }

    /// The one whose certificate is in a file.
    pub(super) fn read(file: &Path) -> anyhow::Result<Trusted> {
        let file = std::path::absolute(file)?;
        let pem = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let certificates = certificates(std::slice::from_ref(&file));
        if certificates.is_empty() {
            bail!("{} contains no certificate in PEM", file.display());
        }
        let mut hasher = DefaultHasher::new();
        certificates.hash(&mut hasher);
        let name = format!("larder-{:016x}", hasher.finish());
        Ok(Trusted { root: Root::new(RootCertificate { name, pem }, file), certificates })
    }
}

/// What the machine trusts, what the configuration and the user trust, and the authority, in PEM.
pub(in crate::cli) fn bundle(
    authority: &Authority,
    settings: &Settings,
    environment: &Environment,
) -> anyhow::Result<String> {
    bundle_with(&Trusted::of(authority), settings, environment)
}

pub(super) fn bundle_with(
    added: &Trusted,
    settings: &Settings,
    environment: &Environment,
) -> anyhow::Result<String> {
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        warn!("{error}");
    }
    let mut trusted: Vec<Vec<u8>> = found.certs.iter().map(|certificate| certificate.to_vec()).collect();
    trusted.extend(certificates(&of_machine(environment)));
    if let Some(roots) = &settings.intercept.roots {
        let read = || anyhow::Ok(pem::parse_many(fs::read(roots)?)?);
        let parsed = read().with_context(|| roots.display().to_string())?;
        trusted.extend(parsed.into_iter().map(pem::Pem::into_contents));
    }
    trusted.extend(certificates(&settings.intercept.extra_roots));
    trusted.extend(certificates(&named_by_user(environment)));
    Ok(with(trusted, added))
}

/// What the user has added to what programs trust by themselves, and the authority, in PEM.
pub(super) fn extra_with(added: &Trusted, environment: &Environment) -> String {
    let named = ADDING.iter().filter_map(|name| environment.variable(name)).map(PathBuf::from);
    with(certificates(&named.collect::<Vec<_>>()), added)
}

/// Each once, the authority behind them.
fn with(mut trusted: Vec<Vec<u8>>, added: &Trusted) -> String {
    // It may be among them: it was installed, or this is a command of `larder run`.
    trusted.retain(|certificate| !added.certificates.contains(certificate));
    trusted.sort_unstable();
    trusted.dedup();
    let blocks = trusted.into_iter().map(|certificate| pem::Pem::new("CERTIFICATE", certificate));
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let text = pem::encode_many_config(&blocks.collect::<Vec<_>>(), config);
    text + &added.root.pem
}

/// The files and folders that the user's variables name.
pub(in crate::cli) fn named_by_user(environment: &Environment) -> Vec<PathBuf> {
    let files = BUNDLE.iter().chain(&ADDING).chain(&REPLACED).filter_map(|name| environment.variable(name));
    let folders = environment.variable("SSL_CERT_DIR").map(std::env::split_paths).into_iter().flatten();
    let mut named: Vec<PathBuf> = files.map(PathBuf::from).chain(folders).collect();
    named.sort_unstable();
    named.dedup();
    named.retain(|path| path.exists());
    named
}

/// The machine's own bundle, where variables hide it from who looks for it.
pub(in crate::cli) fn of_machine(environment: &Environment) -> Vec<PathBuf> {
    let is_hidden = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| environment.variable(name).is_some());
    let bundles = MACHINE_BUNDLES.iter().map(PathBuf::from).filter(|path| path.is_file());
    bundles.take(usize::from(is_hidden)).collect()
}

/// The certificates in files, and in all files of folders. What can't be read is left out: the
/// program that it is for says what it makes of that.
pub(in crate::cli) fn certificates(paths: &[PathBuf]) -> Vec<Vec<u8>> {
    let files = paths.iter().flat_map(|path| match fs::read_dir(path) {
        Ok(entries) => entries.flatten().take(FILES_MAX).map(|entry| entry.path()).collect(),
        Err(_not_a_folder) => vec![path.clone()],
    });
    let texts = files.filter(|file| file.is_file()).filter_map(|file| fs::read(file).ok());
    let blocks = texts.filter_map(|text| pem::parse_many(text).ok()).flatten();
    blocks.filter(|block| block.tag() == "CERTIFICATE").map(pem::Pem::into_contents).collect()
}
