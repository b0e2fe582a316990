//! The JVM's keystore, which Java programs trust instead of the system's certificates. `keytool`
//! comes with it.

use std::path::{Path, PathBuf};

use super::step::says_yes;
use super::{Places, Root, Step, Store, StoreKind};

/// The password of the keystore that a JVM comes with: no secret, and asked for all the same.
pub(in crate::cli) const PASSWORD: &str = "changeit";

struct Keystore {
    keytool: PathBuf,
    file: PathBuf,
}

/// The keystore of the JVM in `JAVA_HOME`, else of the one whose `keytool` is found first.
pub(super) fn find(places: &Places) -> Option<Box<dyn Store>> {
    Some(Box::new(find_keystore(places)?))
}

fn find_keystore(places: &Places) -> Option<Keystore> {
    let of_home =
        places.java_home.as_ref().map(|home| home.join("bin/keytool")).filter(|path| path.is_file());
    // Usually links, whose end is in the JVM.
    let keytool = of_home.or_else(|| places.program("keytool"))?;
    let keytool = std::fs::canonicalize(keytool).ok()?;
    let home = keytool.parent()?.parent()?;
    let files = ["lib/security/cacerts", "jre/lib/security/cacerts"].map(|path| home.join(path));
    let file = files.into_iter().find(|path| path.is_file())?;
    Some(Keystore { keytool, file })
}

/// What makes a keystore at `to` that has all that the JVM trusts and the root; `None` without a JVM.
pub(in crate::cli) fn copy_with(places: &Places, root: &Root, to: &Path) -> Option<Vec<Step>> {
    let Keystore { keytool, file: from } = find_keystore(places)?;
    let keystore = Keystore { keytool: keytool.clone(), file: to.to_owned() };
    let (from, into) = (from.display().to_string(), to.display().to_string());
    let copy = [
        "-importkeystore",
        "-noprompt",
        "-srckeystore",
        &from,
        "-srcstorepass",
        PASSWORD,
        "-destkeystore",
        &into,
        "-deststorepass",
        PASSWORD,
        "-deststoretype",
        "PKCS12",
    ];
    Some([vec![Step::run(&keytool, &copy)], keystore.install(root)].concat())
}

impl Keystore {
    fn arguments<'a>(&'a self, command: &'a str, root: &'a Root, file: &'a str) -> Vec<&'a str> {
        vec![command, "-keystore", file, "-storepass", PASSWORD, "-alias", &root.label]
    }
}

impl Store for Keystore {
    fn name(&self) -> String {
        format!("Java ({})", self.file.display())
    }

    fn kind(&self) -> StoreKind {
        StoreKind::Java
    }

    fn has(&self, root: &Root) -> bool {
        let file = self.file.display().to_string();
        says_yes(&self.keytool, &self.arguments("-list", root, &file))
    }

    fn install(&self, root: &Root) -> Vec<Step> {
        let (file, certificate) = (self.file.display().to_string(), root.file.display().to_string());
        let mut arguments = self.arguments("-importcert", root, &file);
        arguments.extend(["-noprompt", "-file", &certificate]);
        vec![Step::run(&self.keytool, &arguments)]
    }

    fn uninstall(&self, root: &Root) -> Vec<Step> {
        let file = self.file.display().to_string();
        vec![Step::run(&self.keytool, &self.arguments("-delete", root, &file))]
    }
}
