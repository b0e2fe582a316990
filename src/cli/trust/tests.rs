//! Stores of a machine that is made up: what is found, and what goes into each.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::tls::RootCertificate;

use super::{Found, Places, Root, Store, StoreKind};

/// A machine in a folder, removed at its end.
struct Machine(PathBuf);

impl Machine {
    fn new() -> Machine {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("larder-trust-{}-{number}", std::process::id()));
        fs::create_dir_all(path.join("user")).expect("a folder");
        Machine(path)
    }

    fn places(&self) -> Places {
        Places {
            root: self.0.clone(),
            home: Some(self.0.join("user")),
            programs: vec![self.0.join("bin"), self.0.join("usr/sbin")],
            ..Places::default()
        }
    }

    fn folder(&self, path: &str) -> &Machine {
        fs::create_dir_all(self.0.join(path)).expect("a folder");
        self
    }

    fn file(&self, path: &str, text: &str) -> &Machine {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
        fs::write(path, text).expect("a file");
        self
    }

    /// A program that notes what it was told, and remembers per alias or nickname whether it was
    /// added, as certutil and keytool do.
    fn program(&self, path: &str) -> &Machine {
        let script = "#!/bin/sh\nlog=\"$0.log\"\nis=\"$0.there\"\n\
            case \" $* \" in\n\
            *' -L '*|*' -list '*) [ -e \"$is\" ]; exit ;;\n\
            *' -A '*|*' -importcert '*) : > \"$is\" ;;\n\
            *' -D '*|*' -delete '*) rm \"$is\" ;;\nesac\necho \"$*\" >> \"$log\"\n";
        self.file(path, script);
        fs::set_permissions(self.0.join(path), Permissions::from_mode(0o755)).expect("it is ours");
        self
    }

    /// What a program was told, a line each.
    fn told(&self, path: &str) -> Vec<String> {
        let log = fs::read_to_string(self.0.join(format!("{path}.log"))).unwrap_or_default();
        log.lines().map(|line| line.replace(&self.0.display().to_string(), "")).collect()
    }

    fn found(&self) -> Found {
        Found::on(&self.places())
    }

    fn root(&self) -> Root {
        let (name, pem) = ("Larder authority 0123ab".to_owned(), "the certificate\n".to_owned());
        self.file("ca.pem", &pem);
        Root::new(RootCertificate { name, pem }, self.0.join("ca.pem"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("the folder is there");
    }
}

fn only(found: &Found) -> &dyn Store {
    assert_eq!(found.stores.len(), 1, "{:?}", names(found));
    found.stores[0].as_ref()
}

fn names(found: &Found) -> Vec<String> {
    found.stores.iter().map(|store| store.name()).collect()
}

fn install(store: &dyn Store, root: &Root) {
    assert!(!store.has(root));
    store.install(root).iter().for_each(|step| step.take().expect("it can be done"));
    assert!(store.has(root), "so that a second time does nothing");
}

fn uninstall(store: &dyn Store, root: &Root) {
    store.uninstall(root).iter().for_each(|step| step.take().expect("it can be done"));
    assert!(!store.has(root));
}

#[test]
fn each_kind_of_system() {
    let cases = [
        ("Debian", "usr/local/share/ca-certificates", "crt", "update-ca-certificates", ["", "--fresh"]),
        ("Fedora", "etc/pki/ca-trust/source/anchors", "pem", "update-ca-trust", ["extract", "extract"]),
        ("openSUSE", "etc/pki/trust/anchors", "pem", "update-ca-certificates", ["", ""]),
        (
            "Arch",
            "etc/ca-certificates/trust-source/anchors",
            "crt",
            "update-ca-trust",
            ["extract", "extract"],
        ),
    ];
    for (family, folder, ending, command, told) in cases {
        let machine = Machine::new();
        let command = format!("usr/sbin/{command}");
        machine.folder(folder).program(&command);
        let (found, root) = (machine.found(), machine.root());
        let store = only(&found);
        assert!(store.name().contains(family), "{}", store.name());
        install(store, &root);
        let path = machine.0.join(folder).join(format!("larder-authority-0123ab.{ending}"));
        assert_eq!(fs::read_to_string(&path).expect("it is there"), root.pem);
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o644);
        uninstall(store, &root);
        assert!(!path.exists());
        assert_eq!(machine.told(&command), told, "{family}");
    }
}

#[test]
fn a_system_without_its_command_is_none() {
    let machine = Machine::new();
    machine.folder("usr/local/share/ca-certificates");
    assert!(machine.found().stores.is_empty());
}

#[test]
fn browsers_databases() {
    let machine = Machine::new();
    for folder in ["x.default", "y.work"] {
        machine.file(&format!("user/.mozilla/firefox/{folder}/cert9.db"), "");
    }
    machine.folder("user/.mozilla/firefox/no-profile").file("user/.pki/nssdb/cert9.db", "");
    machine.program("bin/certutil");
    let (found, root) = (machine.found(), machine.root());
    let kinds: Vec<String> =
        names(&found).iter().map(|name| name.replace(&machine.0.display().to_string(), "")).collect();
    let expected = [
        "Firefox (/user/.mozilla/firefox/x.default)",
        "Firefox (/user/.mozilla/firefox/y.work)",
        "Chromium (/user/.pki/nssdb)",
    ];
    assert_eq!(kinds, expected);
    install(found.stores[2].as_ref(), &root);
    uninstall(found.stores[2].as_ref(), &root);
    let told = [
        "-A -d sql:/user/.pki/nssdb -n larder-authority-0123ab -t C,, -i /ca.pem",
        "-D -d sql:/user/.pki/nssdb -n larder-authority-0123ab",
    ];
    assert_eq!(machine.told("bin/certutil"), told);
}

#[test]
fn a_chromium_that_has_never_run() {
    let machine = Machine::new();
    machine.program("bin/certutil").program("bin/chromium");
    let (found, root) = (machine.found(), machine.root());
    let steps = only(&found).install(&root);
    steps.iter().for_each(|step| step.take().expect("it can be done"));
    assert!(machine.0.join("user/.pki/nssdb").is_dir());
    assert_eq!(machine.told("bin/certutil")[0], "-N -d sql:/user/.pki/nssdb --empty-password");
}

#[test]
fn without_certutil_it_is_said_what_helps() {
    let machine = Machine::new();
    assert!(machine.found().missing.is_empty(), "no browser, no need");
    machine.file("user/.mozilla/firefox/x.default/cert9.db", "");
    let found = machine.found();
    assert!(found.stores.is_empty());
    assert!(found.missing[0].1.contains("libnss3-tools"), "{:?}", found.missing);
    assert!(machine.found().only(&[StoreKind::System]).missing.is_empty());
}

#[test]
fn javas_keystore() {
    for (cacerts, by_home) in [("lib/security/cacerts", false), ("jre/lib/security/cacerts", true)] {
        let machine = Machine::new();
        machine.program("opt/java/bin/keytool").file(&format!("opt/java/{cacerts}"), "");
        let mut places = machine.places();
        if by_home {
            places.java_home = Some(machine.0.join("opt/java"));
        } else {
            machine.folder("bin");
            let link = machine.0.join("bin/keytool");
            std::os::unix::fs::symlink(machine.0.join("opt/java/bin/keytool"), link).expect("a link");
        }
        let (found, root) = (Found::on(&places), machine.root());
        let store = only(&found);
        install(store, &root);
        uninstall(store, &root);
        let store =
            format!("-keystore /opt/java/{cacerts} -storepass changeit -alias larder-authority-0123ab");
        let told = [format!("-importcert {store} -noprompt -file /ca.pem"), format!("-delete {store}")];
        assert_eq!(machine.told("opt/java/bin/keytool"), told);
    }
}

#[test]
fn steps_are_lines_for_the_shell() {
    let machine = Machine::new();
    machine.folder("usr/local/share/ca-certificates").program("usr/sbin/update-ca-certificates");
    let mut root = machine.root();
    root.file = "/a folder/it's/ca.pem".into();
    let found = machine.found();
    let steps: Vec<String> = only(&found).install(&root).iter().map(ToString::to_string).collect();
    assert!(steps[0].starts_with("cp '/a folder/it'\\''s/ca.pem' /"), "{steps:?}");
    assert!(steps[1].ends_with("/usr/sbin/update-ca-certificates"), "{steps:?}");
}

#[test]
fn what_fails_says_why() {
    let machine = Machine::new();
    machine.file("bin/certutil", "#!/bin/sh\necho 'certutil: the database is locked' >&2\nexit 1\n");
    let path = machine.0.join("bin/certutil");
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("it is ours");
    let error = super::Step::run(&path, &["-A"]).take().expect_err("it fails");
    assert!(error.to_string().contains("the database is locked"), "{error}");
    let nowhere = super::Step::run(Path::new("/nowhere/keytool"), &[]).take().expect_err("no such program");
    assert!(nowhere.to_string().contains("/nowhere/keytool"), "{nowhere}");
}
