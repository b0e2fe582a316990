//! `larder ca` of the real binary: an authority made, shown, installed, replaced.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Ended, Folder, larder};

/// Runs `larder ca` for a user of whom this folder is all.
fn ca(folder: &Folder, arguments: &[&str]) -> Ended {
    let (programs, data) = (folder.text_of_path("bin"), folder.text_of_path("data"));
    // Without a folder for data, root has the machine's.
    larder(folder, &[&["ca"], arguments].concat(), &[("PATH", &programs), ("XDG_DATA_HOME", &data)])
}

/// The authority's name, as `init` says it.
fn name(folder: &Folder) -> String {
    let ended = ca(folder, &["init"]);
    let line = ended.out.lines().find_map(|line| line.strip_prefix("authority    "));
    line.unwrap_or_else(|| panic!("{ended:?}")).to_owned()
}

/// A `certutil` that remembers nicknames as files beside it, and a database for it.
fn with_browser(folder: &Folder) {
    for path in ["bin", ".pki/nssdb"] {
        std::fs::create_dir_all(folder.path(path)).expect("a folder");
    }
    folder.write(".pki/nssdb/cert9.db", "");
    let script = "#!/bin/sh\nwhile [ $# -gt 0 ]; do\ncase $1 in\n-n) it=\"${0%/*}/$2.installed\" ;;\n\
                  -A|-D|-L) what=$1 ;;\nesac\nshift\ndone\ncase $what in\n-A) : > \"$it\" ;;\n\
                  -D) /bin/rm \"$it\" ;;\n-L) [ -e \"$it\" ] ;;\nesac\n";
    let path = folder.write("bin/certutil", script);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
}

/// What the browser trusts.
fn trusted(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path("bin")).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let mut names: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".installed").map(str::to_owned)).collect();
    names.sort();
    names
}

fn label(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

#[test]
fn an_authority_is_made_once() {
    let folder = Folder::new();
    let ended = ca(&folder, &["path"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("larder ca init"), "{}", ended.err);
    let first = ca(&folder, &["init"]);
    assert_eq!(first.code, Some(0), "{}", first.err);
    assert!(first.out.contains("It is new"), "{}", first.out);
    assert!(ca(&folder, &["init"]).out.contains("It was there already"));
    let path = folder.text_of_path("data/larder/ca/ca.pem");
    assert_eq!(ca(&folder, &["path"]).out, format!("{path}\n"));
    let mode = |name: &str| std::fs::metadata(folder.path(name)).expect("it is there").permissions().mode();
    assert_eq!(mode("data/larder/ca") & 0o777, 0o700);
    assert_eq!(mode("data/larder/ca/authority.pem") & 0o777, 0o600);
}

#[test]
fn its_certificate_is_exported_without_its_key() {
    let folder = Folder::new();
    name(&folder);
    let printed = ca(&folder, &["export"]).out;
    assert!(
        printed.starts_with("-----BEGIN CERTIFICATE-----\n") && !printed.contains("PRIVATE"),
        "{printed}"
    );
    let out = folder.text_of_path("larder.pem");
    assert_eq!(ca(&folder, &["export", "--out", &out]).code, Some(0));
    assert_eq!(folder.read("larder.pem"), printed);
}

#[test]
fn a_configured_folder_and_constraints_are_used() {
    let folder = Folder::new();
    let text = "[intercept]\nca_dir = 'authority'\nname_constraints = ['office.example']\n";
    let file = folder.write("larder.toml", text);
    assert_eq!(ca(&folder, &["init", "--config", &file]).code, Some(0));
    let path = ca(&folder, &["path", "--config", &file]).out;
    assert_eq!(path, format!("{}\n", folder.text_of_path("authority/ca.pem")));
    folder.write("larder.toml", "[intercept]\nca_dir = 'authority'\n");
    let ended = ca(&folder, &["init", "--config", &file]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("name_constraints") && ended.err.contains("ca rotate"), "{}", ended.err);
    folder.write("larder.toml", "[intercept]\nca_dri = 'authority'\n");
    assert_eq!(ca(&folder, &["init", "--config", &file]).code, Some(78));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let folder = Folder::new();
    name(&folder);
    let key = folder.path("data/larder/ca/authority.pem");
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    for command in ["init", "export", "install", "uninstall", "path", "rotate"] {
        let ended = ca(&folder, &[command]);
        assert_eq!(ended.code, Some(1), "{command}");
        assert!(ended.err.contains("authority.pem can be read by others"), "{command}: {}", ended.err);
    }
}

#[test]
fn browsers_are_told_once_and_can_be_told_otherwise() {
    let folder = Folder::new();
    with_browser(&folder);
    let ended = ca(&folder, &["install", "--only", "nss", "--dry-run"]);
    assert_eq!(ended.code, Some(1), "nothing is made for a look");
    let label = label(&name(&folder));
    let ended = ca(&folder, &["install", "--only", "nss", "--dry-run"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    for told in ["certutil -A -d sql:", &label, "Nothing was changed"] {
        assert!(ended.out.contains(told), "{told}: {}", ended.out);
    }
    assert!(trusted(&folder).is_empty());
    let ended = ca(&folder, &["install", "--only", "nss"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("To undo it: larder ca uninstall"), "{}", ended.out);
    assert_eq!(trusted(&folder), [label.as_str()]);
    let again = ca(&folder, &["install", "--only", "nss"]);
    assert!(again.code == Some(0) && again.out.contains("it is there already"), "{}", again.out);
    assert_eq!(ca(&folder, &["uninstall", "--only", "nss"]).code, Some(0));
    assert!(trusted(&folder).is_empty());
    let again = ca(&folder, &["uninstall", "--only", "nss"]);
    assert!(again.code == Some(0) && again.out.contains("it is not there"), "{}", again.out);
}

#[test]
fn without_certutil_it_says_what_helps() {
    let folder = Folder::new();
    with_browser(&folder);
    std::fs::remove_file(folder.path("bin/certutil")).expect("it is there");
    let ended = ca(&folder, &["install", "--only", "nss"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.out.contains("libnss3-tools"), "{}", ended.out);
}

#[test]
fn a_rotated_authority_is_taken_out_with_the_next() {
    let folder = Folder::new();
    with_browser(&folder);
    let old = label(&name(&folder));
    ca(&folder, &["install", "--only", "nss"]);
    let ended = ca(&folder, &["rotate"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("whose key is gone") && ended.out.contains("restart larder"), "{}", ended.out);
    let new = label(&name(&folder));
    assert_ne!(old, new);
    ca(&folder, &["install", "--only", "nss"]);
    assert_eq!(trusted(&folder).len(), 2, "until no client needs the old one");
    ca(&folder, &["uninstall", "--only", "nss", "--previous"]);
    assert_eq!(trusted(&folder), [new]);
    ca(&folder, &["uninstall", "--only", "nss"]);
    assert!(trusted(&folder).is_empty());
}
