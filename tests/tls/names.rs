//! Which certificate is for which host (RFC 9525, RFC 5280 §4.2.1.6).

use rcgen::string::Ia5String;
use rcgen::{DistinguishedName, DnType, SanType};

use super::chain::{Ca, dns};
use super::world::Client;

#[test]
fn names_that_are_not_the_hosts() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    let cases: &[(&str, &[&str], &str)] = &[
        ("a.example", &["b.example"], "it is for other names: b.example"),
        ("a.example", &["b.example", "c.example"], "b.example, c.example"),
        ("a.example", &["b.a.example"], "b.a.example"),
        ("b.a.example", &["a.example"], "a.example"),
        ("a.example", &["a.example.test"], "a.example.test"),
        ("a.example", &["*"], "it is for other names: *"),
        ("a.example", &["*.example"], "*.example"),
        ("a.b.example", &["*.*.example"], "*.*.example"),
        ("a.b.example", &["*.b*.example"], "*.b*.example"),
        ("a.b.example", &["a*.b.example"], "a*.b.example"),
        ("a.b.example", &["*a.b.example"], "*a.b.example"),
        ("a.b.example", &["a.*.example"], "a.*.example"),
        ("x.a.b.example", &["*.b.example"], "*.b.example"),
        ("b.example", &["*.b.example"], "*.b.example"),
        ("a.example", &["a.example\0.evil.example"], "a.example?.evil.example"),
        ("a.example", &["evil.example\0a.example"], "evil.example?a.example"),
        ("a.example", &["a.example "], "a.example "),
        ("a.example", &["https://a.example"], "https://a.example"),
        ("a.example", &["a.example:443"], "a.example:443"),
        ("a.example", &["192.0.2.1"], "it is for other names: 192.0.2.1"),
        ("192.0.2.1", &["192.0.2.2"], "it is for other names: 192.0.2.2"),
        ("192.0.2.1", &["a.example", "2001:db8::1"], "a.example, 2001:db8::1"),
        ("2001:db8::1", &["2001:db8::2"], "2001:db8::2"),
        ("xn--bcher-kva.example", &["xn--bcher-kvb.example"], "xn--bcher-kvb.example"),
    ];
    for (host, names, reason) in cases {
        let shown = root.leaf(names).with(&[]);
        client.ask(host, shown).is_refused(&format!("{host} {names:?}"), reason);
    }
    // An address is no name, even if it is written as one.
    let shown = root.leaf_with(&[], |params| params.subject_alt_names = vec![dns("192.0.2.1")]).with(&[]);
    client.ask("192.0.2.1", shown).is_refused("an address as a name", "it is for other names");
}

#[test]
fn names_that_are_no_hosts() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    let reason = "it names no host (it has no subjectAltName)";
    let common = |params: &mut rcgen::CertificateParams| {
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "a.example");
    };
    client.ask("a.example", root.leaf_with(&[], common).with(&[])).is_refused("a common name", reason);
    client.ask("a.example", root.leaf(&[]).with(&[])).is_refused("no name", reason);
    let ia5 = |text: &str| Ia5String::try_from(text).expect("ASCII");
    let uri = SanType::URI(ia5("https://a.example/"));
    let shown = root.leaf_with(&[], |params| params.subject_alt_names = vec![uri]).with(&[]);
    client.ask("a.example", shown).is_refused("a URI", reason);
    let mail = SanType::Rfc822Name(ia5("post@a.example"));
    let shown = root.leaf_with(&[], |params| params.subject_alt_names = vec![mail]).with(&[]);
    client.ask("a.example", shown).is_refused("an address of mail", reason);
    let shown = root.leaf_with(&["b.example"], common).with(&[]);
    client.ask("a.example", shown).is_refused("another name beside it", "it is for other names: b.example");
}

#[test]
fn a_text_repeats_few_names_and_nothing_odd() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    let names: Vec<String> = (0..100).map(|number| format!("{number}.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let outcome = client.ask("a.example", root.leaf(&names).with(&[]));
    outcome.is_refused("many", "0.example, 1.example, 2.example, 3.example and 96 more");
    let odd = root.leaf(&["<b>\r\n\x1b[0m.example"]).with(&[]);
    client.ask("a.example", odd).is_refused("odd", "<b>???[0m.example");
}
