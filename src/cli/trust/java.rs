//! The JVM's keystore, which Java programs trust instead of the system's certificates. `keytool`
//! comes with it.

use std::path::PathBuf;

use super::step::says_yes;
use super::{Places, Root, Step, Store, StoreKind};

/// The password of the keystore that a JVM comes with: no secret, and asked for all the same.
const PASSWORD: &str = "changeit";

struct Keystore {
    keytool: PathBuf,
    file: PathBuf,
}

/// The keystore of the JVM in `JAVA_HOME`, else of the one whose `keytool` is found first.
pub(super) fn find(places: &Places) -> Option<Box<dyn Store>> {
    let of_home =
        places.java_home.as_ref().map(|home| home.join("bin/keytool")).filter(|path| path.is_file());
    // Usually links, whose end is in the JVM.
    let keytool = of_home.or_else(|| places.program("keytool"))?;
    let keytool = std::fs::canonicalize(keytool).ok()?;
    let home = keytool.parent()?.parent()?;
    let files = ["lib/security/cacerts", "jre/lib/security/cacerts"].map(|path| home.join(path));
    let file = files.into_iter().find(|path| path.is_file())?;
    Some(Box::new(Keystore { keytool, file }))
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
