//! Files that variables name: a bundle of what the machine trusts and the authority, settings for
//! programs that read no variable for it, and a keystore for the JVM.

#![expect(clippy::disallowed_methods, reason = "a command of the user's, not a request")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tracing::warn;

use super::super::trust::{Places, Root, java};
use super::trusted::{Trusted, bundle_with, extra_with};
use super::variables::ClientFiles;
use crate::config::{Environment, Settings};

/// Makes the files in a folder.
pub(super) fn make(
    trusted: &Trusted,
    folder: &Path,
    settings: &Settings,
    environment: &Environment,
) -> anyhow::Result<ClientFiles> {
    let php = folder.join("php");
    fs::create_dir_all(&php).with_context(|| php.display().to_string())?;
    let files = ClientFiles {
        bundle: folder.join("bundle.pem"),
        extra: folder.join("extra.pem"),
        wgetrc: folder.join("wgetrc"),
        apt: folder.join("apt.conf"),
        hgrc: folder.join("hgrc"),
        php,
        keystore: keystore(&trusted.root, folder, environment),
        certificate: trusted.root.file.clone(),
    };
    write(&files.bundle, &bundle_with(trusted, settings, environment)?)?;
    write(&files.extra, &extra_with(trusted, environment))?;
    write(&files.wgetrc, &wgetrc(&files.bundle, &files.wgetrc, environment))?;
    write(&files.apt, &apt(&files.bundle))?;
    write(&files.hgrc, &format!("[web]\ncacerts = {}\n", files.bundle.display()))?;
    let prepended = files.php.join("larder.php");
    write(&files.php.join("larder.ini"), &php_ini(&files.bundle, &prepended))?;
    write(&prepended, PHP_PROXY)?;
    Ok(files)
}

/// PHP's curl extension reads the proxy from variables, but what to trust from its settings alone.
fn php_ini(bundle: &Path, prepended: &Path) -> String {
    let (bundle, prepended) = (bundle.display(), prepended.display());
    format!(
        "curl.cainfo = \"{bundle}\"\nopenssl.cafile = \"{bundle}\"\nauto_prepend_file = \"{prepended}\"\n"
    )
}

/// PHP's streams read no variable for the proxy, so that each script begins with this. It does what
/// the file does that php.ini has for the beginning.
const PHP_PROXY: &str = "<?php
(static function () {
    $proxy = getenv('LARDER_RUN');
    if ($proxy) {
        $proxy = preg_replace('#^http://#', 'tcp://', $proxy);
        stream_context_set_default(['http' => ['proxy' => $proxy, 'request_fulluri' => true]]);
    }
})();
$larder_ini = php_ini_loaded_file() ? @parse_ini_file(php_ini_loaded_file()) : [];
if (!empty($larder_ini['auto_prepend_file'])) {
    require $larder_ini['auto_prepend_file'];
}
unset($larder_ini);
";

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
fn keystore(root: &Root, folder: &Path, environment: &Environment) -> Option<PathBuf> {
    let path = folder.join(format!("{}.p12", root.label));
    if path.exists() {
        return Some(path);
    }
    // Several may find that there is none.
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let _left_behind = fs::remove_file(&beside);
    let steps = java::copy_with(&Places::of(environment), root, &beside)?;
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
