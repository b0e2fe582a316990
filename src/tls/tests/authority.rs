//! The root and its folder.

#![expect(clippy::disallowed_methods, reason = "what is written is looked at")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;

use super::super::Alpn;
use super::super::certificate::parse;
use super::super::{Authority, AuthorityError, Leaves, MintError, MintRequest, NameConstraints};
use super::{Folder, START, authority, host};

const NONE: &[&str] = &[];

fn constraints(texts: &[&str]) -> NameConstraints {
    NameConstraints::parse(texts).expect("good constraints")
}

#[test]
fn the_root_is_what_it_should_be() {
    let (folder, clock) = (Folder::new(), Clock::manual(START));
    let authority = authority(&folder, &clock);
    let root = parse(authority.certificate()).expect("a certificate");
    assert_eq!(root.subject(), root.issuer());
    assert!(authority.name().starts_with("Larder authority "), "{}", authority.name());
    let basic = root.basic_constraints().expect("it is there once").expect("it is there");
    assert!(basic.critical && basic.value.ca);
    assert_eq!(basic.value.path_len_constraint, Some(0));
    let usage = root.key_usage().expect("it is there once").expect("it is there");
    assert!(usage.critical);
    assert_eq!(usage.value.flags, 0b110_0000, "keyCertSign and cRLSign");
    assert_eq!(root.public_key().algorithm.algorithm.to_id_string(), "1.2.840.10045.2.1");
    assert_eq!(root.raw_serial().len(), 16);
    let years = authority.not_after().seconds_since(START) / (365 * 86_400);
    assert_eq!(years, 4, "and 364 days");
    assert!(root.name_constraints().expect("well-formed").is_none());
}

#[test]
fn it_is_made_once_and_read_again() {
    let (folder, clock) = (Folder::new(), Clock::manual(START));
    assert!(Authority::find(&folder.0).expect("no folder").is_none());
    let first = authority(&folder, &clock);
    let second = authority(&folder, &clock);
    assert_eq!(first.certificate(), second.certificate());
    assert_eq!(fs::read_to_string(first.certificate_path()).expect("it is there"), first.pem());
    assert_eq!(first.pem().matches("-----BEGIN").count(), 1, "no key: {}", first.pem());
    assert!(!format!("{first:?}").contains("PRIVATE"));
    let mode = |name: &str| fs::metadata(folder.0.join(name)).expect("it is there").permissions().mode();
    assert_eq!((mode("") & 0o777, mode("authority.pem") & 0o777), (0o700, 0o600));
    let names = fs::read_dir(&folder.0).expect("a folder").count();
    assert_eq!(names, 2, "nothing else is left");
}

#[test]
fn of_two_that_make_it_at_once_one_wins() {
    let (folder, clock) = (Folder::new(), Clock::manual(START));
    let make = || authority(&folder, &clock).certificate().clone();
    let made: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(made.iter().all(|certificate| *certificate == made[0]));
}

#[test]
fn what_others_can_read_is_refused() {
    let clock = Clock::manual(START);
    for (name, mode) in [("", 0o750), ("", 0o701), ("authority.pem", 0o640), ("authority.pem", 0o604)] {
        let folder = Folder::new();
        authority(&folder, &clock);
        let path = folder.0.join(name);
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
        for opened in [
            Authority::open(&folder.0, &constraints(NONE), &clock).map(|_| ()),
            Authority::find(&folder.0).map(|_| ()),
            Authority::rotate(&folder.0, &constraints(NONE), &clock).map(|_| ()),
        ] {
            let error = opened.expect_err("it is open").to_string();
            assert!(
                error.contains("can be read by others") && error.contains(&format!("{mode:04o}")),
                "{error}"
            );
        }
    }
}

#[test]
fn what_is_damaged_is_said() {
    let clock = Clock::manual(START);
    let folder = Folder::new();
    let text = {
        authority(&folder, &clock);
        fs::read_to_string(folder.0.join("authority.pem")).expect("it is there")
    };
    let other = Folder::new();
    authority(&other, &clock);
    let other_text = fs::read_to_string(other.0.join("authority.pem")).expect("it is there");
    let mark = "-----BEGIN CERT";
    let (key, certificate) = text.split_once(mark).expect("a certificate");
    let (_, other_certificate) = other_text.split_once(mark).expect("a certificate");
    let cases = [
        (String::new(), "the key is damaged"),
        (format!("{mark}{certificate}"), "the key is damaged"),
        (key.to_owned(), "the certificate is damaged"),
        (format!("{key}{mark}{other_certificate}"), "not of one authority"),
    ];
    for (damaged, told) in cases {
        fs::write(folder.0.join("authority.pem"), damaged).expect("it is ours");
        let error = Authority::open(&folder.0, &constraints(NONE), &clock).expect_err("damaged");
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[test]
fn a_rotation_replaces_the_root_and_remembers_it() {
    let (folder, clock) = (Folder::new(), Clock::manual(START));
    assert!(Authority::rotate(&folder.0, &constraints(NONE), &clock).expect("the first").1.is_none());
    let old = authority(&folder, &clock);
    let (new, previous) = Authority::rotate(&folder.0, &constraints(NONE), &clock).expect("the second");
    assert_eq!(previous.as_deref(), Some(old.name()));
    assert_ne!(old.name(), new.name());
    let subject =
        |authority: &Authority| parse(authority.certificate()).expect("good").subject().as_raw().to_vec();
    assert!(new.own_roots().has_name(&subject(&old)) && new.own_roots().has_name(&subject(&new)));
    assert_eq!(new.previous().expect("it is there"), [old.root()]);
    let text = fs::read_to_string(folder.0.join("authority.pem")).expect("it is there");
    assert!(!text.contains(old.pem()), "the old key and certificate are gone");
    assert_eq!(authority(&folder, &clock).certificate(), new.certificate());
    assert_eq!(fs::read_to_string(new.certificate_path()).expect("it is there"), new.pem());
}

#[test]
fn an_expired_root_is_not_used() {
    let (folder, clock) = (Folder::new(), Clock::manual(START));
    authority(&folder, &clock);
    clock.advance(Duration::from_secs(5 * 365 * 86_400));
    let error = Authority::open(&folder.0, &constraints(NONE), &clock).expect_err("it is over");
    assert!(
        matches!(error, AuthorityError::Expired(_)) && error.to_string().contains("ca rotate"),
        "{error}"
    );
    assert!(Authority::find(&folder.0).expect("to be uninstalled").is_some());
}

#[test]
fn name_constraints_are_in_the_root_and_kept() {
    let clock = Clock::manual(START);
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, bool)]);
    let cases: &[Case<'_>] = &[
        (&[], &[("a.example", true), ("192.0.2.1", true)]),
        (
            &["a.example"],
            &[("a.example", true), ("b.a.example", true), ("ba.example", false), ("192.0.2.1", false)],
        ),
        (
            &["192.0.2.0/24"],
            &[("192.0.2.1", true), ("192.0.3.1", false), ("a.example", false), ("2001:db8::1", false)],
        ),
        (
            &["2001:db8::/32", "A.Example"],
            &[("2001:db8::1", true), ("192.0.2.1", false), ("a.example", true)],
        ),
        (&["192.0.2.1"], &[("192.0.2.1", true), ("192.0.2.2", false)]),
    ];
    for (texts, hosts) in cases {
        let folder = Folder::new();
        let wanted = constraints(texts);
        let authority = Authority::open(&folder.0, &wanted, &clock).expect("a new one");
        assert_eq!(*authority.constraints(), wanted, "as read from the certificate");
        let leaves = Arc::new(Leaves::new(authority, clock.clone()).expect("a key"));
        for (name, permitted) in *hosts {
            let host = host(name);
            let client = [192, 0, 2, 1].into();
            let request = MintRequest { host: &host, alpn: Alpn::Http1, client, origin_not_after: None };
            match leaves.server_config(&request) {
                Ok(_) => assert!(permitted, "{texts:?} {name}"),
                Err(error) => {
                    assert!(
                        !permitted && matches!(error, MintError::NotPermitted(_)),
                        "{texts:?} {name}: {error}"
                    );
                }
            }
        }
        let other = Authority::open(&folder.0, &constraints(&["other.example"]), &clock).expect_err("others");
        assert!(matches!(other, AuthorityError::OtherConstraints), "{other}");
    }
    for bad in ["a..b", "10.0.0.0/33", ""] {
        assert!(NameConstraints::parse(&[bad]).is_err(), "{bad:?}");
    }
}
