//! Files that variables name: a bundle of what the machine trusts and the authority, settings for
//! programs that read no variable for it, and a keystore for the JVM.

#![expect(clippy::disallowed_methods, reason = "a command of the user's, not a request")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tracing::warn;

use super::super::trust::{Places, Root, java};
use crate::config::{Environment, Settings};
use crate::tls::Authority;

/// Where files for clients are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct ClientFiles {
    /// What the machine trusts, and the authority, in PEM.
    pub(in crate::cli) bundle: PathBuf,
    /// The authority alone, in PEM.
    pub(in crate::cli) certificate: PathBuf,
    /// Settings for wget, those of the user included.
    pub(in crate::cli) wgetrc: PathBuf,
    /// Settings for apt.
    pub(in crate::cli) apt: PathBuf,
    /// A PKCS #12 keystore with the bundle, where there is a JVM.
    pub(in crate::cli) keystore: Option<PathBuf>,
}

/// Makes the files, beside the authority.
pub(super) fn make(
    authority: &Authority,
    settings: &Settings,
    environment: &Environment,
) -> anyhow::Result<ClientFiles> {
    let certificate = authority.certificate_path();
    let folder = certificate.parent().context("the authority is in no folder")?.join("clients");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let files = ClientFiles {
        bundle: folder.join("bundle.pem"),
        wgetrc: folder.join("wgetrc"),
        apt: folder.join("apt.conf"),
        keystore: keystore(authority, &folder, environment),
        certificate,
    };
    write(&files.bundle, &bundle(authority, settings)?)?;
    write(&files.wgetrc, &wgetrc(&files.bundle, &files.wgetrc, environment))?;
    write(&files.apt, &apt(&files.bundle))?;
    Ok(files)
}

/// What the machine trusts, what the configuration trusts, and the authority, in PEM.
pub(in crate::cli) fn bundle(authority: &Authority, settings: &Settings) -> anyhow::Result<String> {
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        warn!("{error}");
    }
    let mut trusted: Vec<Vec<u8>> = found.certs.iter().map(|certificate| certificate.to_vec()).collect();
    if let Some(roots) = &settings.intercept.roots {
        let read = || anyhow::Ok(pem::parse_many(fs::read(roots)?)?);
        let parsed = read().with_context(|| roots.display().to_string())?;
        trusted.extend(parsed.into_iter().map(pem::Pem::into_contents));
    }
    // It may be among them: it was installed, or this is a command of `larder run`.
    trusted.retain(|certificate| certificate != authority.certificate().as_ref());
    trusted.sort_unstable();
    trusted.dedup();
    let blocks = trusted.into_iter().map(|certificate| pem::Pem::new("CERTIFICATE", certificate));
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let text = pem::encode_many_config(&blocks.collect::<Vec<_>>(), config);
    Ok(text + authority.pem())
}

/// wget knows no variable for a bundle, but one for the file that it reads instead of the user's.
fn wgetrc(bundle: &Path, own: &Path, environment: &Environment) -> String {
    let of_user = environment.wgetrc.clone().filter(|file| file != own);
    let of_user = of_user.or_else(|| environment.home.as_ref().map(|home| home.join(".wgetrc")));
    let lines = of_user.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    format!("{lines}\nca_certificate = {}\n", bundle.display())
}

/// apt reads the proxy from variables, but what to trust from its settings alone.
pub(super) fn apt(bundle: &Path) -> String {
    format!("Acquire::https::CAInfo \"{}\";", bundle.display())
}

/// The keystore for this authority. Making one takes a second, so that it is done once.
fn keystore(authority: &Authority, folder: &Path, environment: &Environment) -> Option<PathBuf> {
    let root = Root::new(authority.root(), authority.certificate_path());
    let path = folder.join(format!("{}.p12", root.label));
    if path.exists() {
        return Some(path);
    }
    // Several may find that there is none.
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let _left_behind = fs::remove_file(&beside);
    let steps = java::copy_with(&Places::of(environment), &root, &beside)?;
    let made = steps.iter().try_for_each(|step| step.take()).and_then(|()| Ok(fs::rename(&beside, &path)?));
    if let Err(error) = made {
        warn!("Java does not trust the authority: {error:#}");
        return None;
    }
    Some(path)
}

/// Writes a file whole, so that programs which read it meanwhile see one state or the other.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let write = || -> io::Result<()> {
        if fs::read_to_string(path).is_ok_and(|found| found == text) {
            return Ok(());
        }
        let beside = path.with_extension(format!("{}.new", std::process::id()));
        fs::write(&beside, text)?;
        fs::rename(&beside, path)
    };
    write().with_context(|| path.display().to_string())
}
