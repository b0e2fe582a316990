//! Where clients keep the certificates that they trust, and how a root gets in and out: the
//! system's store, NSS databases of browsers, the JVM's keystore.
//!
//! A store says in steps what is to be done, so that `--dry-run` shows the very steps that a run
//! takes, and a step that needs another user can be printed for them to take.

#![expect(clippy::disallowed_methods, reason = "a command of the user's, not a request")]

pub(super) mod java;
mod nss;
mod step;
mod system;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::config::Environment;
use crate::tls::RootCertificate;

pub(super) use step::Step;

/// Where things are on this machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// The root of the file system; another one in tests.
    pub(super) root: PathBuf,
    pub(super) home: Option<PathBuf>,
    pub(super) xdg_data: Option<PathBuf>,
    /// Where programs are looked for.
    pub(super) programs: Vec<PathBuf>,
    pub(super) java_home: Option<PathBuf>,
}

/// A root that is to be trusted, or no longer.
#[derive(Clone, Debug)]
pub(super) struct Root {
    /// What stores know it by: the name in letters, digits and hyphens.
    pub(super) label: String,
    pub(super) pem: String,
    /// The certificate's file; for a root of earlier there is none.
    pub(super) file: PathBuf,
}

/// A kind of store, for `--only`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum StoreKind {
    /// The system's certificates, that curl, wget, git, Python and others use
    System,
    /// Firefox and Chromium
    Nss,
    /// Java
    Java,
}

/// One store of trusted certificates.
pub(super) trait Store {
    /// What it is, for people.
    fn name(&self) -> String;

    fn kind(&self) -> StoreKind;

    /// Whether the root is in it. Asks, and changes nothing.
    fn has(&self, root: &Root) -> bool;

    /// What puts the root into it.
    fn install(&self, root: &Root) -> Vec<Step>;

    /// What takes the root out of it.
    fn uninstall(&self, root: &Root) -> Vec<Step>;
}

/// The stores of a machine.
#[derive(Default)]
pub(super) struct Found {
    pub(super) stores: Vec<Box<dyn Store>>,
    /// What is there and can't be reached, and what would help.
    pub(super) missing: Vec<(StoreKind, String)>,
}

impl Found {
    /// Looks for all of them.
    pub(super) fn on(places: &Places) -> Found {
        let mut found = Found::default();
        found.stores.extend(system::find(places));
        nss::find(places, &mut found);
        found.stores.extend(java::find(places));
        found
    }

    /// Leaves out all other kinds; none named: leaves out nothing.
    pub(super) fn only(mut self, kinds: &[StoreKind]) -> Found {
        let wanted = |kind: StoreKind| kinds.is_empty() || kinds.contains(&kind);
        self.stores.retain(|store| wanted(store.kind()));
        self.missing.retain(|(kind, _)| wanted(*kind));
        self
    }
}

impl Root {
    pub(super) fn new(certificate: RootCertificate, file: PathBuf) -> Root {
        let plain = |character: char| {
            if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '-' }
        };
        Root { label: certificate.name.chars().map(plain).collect(), pem: certificate.pem, file }
    }
}

impl Places {
    /// Those of this machine.
    pub(super) fn of(environment: &Environment) -> Places {
        let Environment { home, xdg_data, programs, java_home, .. } = environment.clone();
        Places { root: "/".into(), home, xdg_data, programs, java_home }
    }

    /// The first program of this name.
    fn program(&self, name: &str) -> Option<PathBuf> {
        self.programs.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
    }

    /// A path of the system's, like `/etc`.
    fn system(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn in_home(&self, path: &str) -> Option<PathBuf> {
        self.home.as_ref().map(|home| home.join(path))
    }
}

/// The folders in a folder; none if it can't be read.
fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders
}
