//! What is at `http://larder.proxy/`: a page that says that the proxy works and, where HTTPS is
//! intercepted, the authority's certificate and how to trust it.
//!
//! A name that no resolver knows: whoever sees the page uses the proxy.

use super::html::{STYLE, escape};
use crate::tls::Authority;

/// The certificate in DER, which Windows, Android and Apple's systems open, and in PEM for the rest.
const DER: &str = "/larder-ca.crt";
const PEM: &str = "/larder-ca.pem";
/// What browsers take for an authority to import, in either form.
const CERTIFICATE_TYPE: &str = "application/x-x509-ca-cert";

/// The content of a path and its type; `None` where there is none. `authority` signs for the hosts
/// that are intercepted.
pub(super) fn page(path: &[u8], authority: Option<&Authority>) -> Option<(&'static str, Vec<u8>)> {
    let path = std::str::from_utf8(path).ok()?;
    match (path, authority) {
        ("/", authority) => Some(("text/html; charset=utf-8", html(authority).into_bytes())),
        (DER, Some(authority)) => Some((CERTIFICATE_TYPE, authority.certificate().to_vec())),
        (PEM, Some(authority)) => Some((CERTIFICATE_TYPE, authority.pem().as_bytes().to_vec())),
        _ => None,
    }
}

fn html(authority: Option<&Authority>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let https = authority.map_or_else(|| TUNNELLED.to_owned(), intercepted);
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport \
         content='width=device-width'><title>Larder</title><style>{STYLE}</style>\
         <h1>Larder works</h1><p>This browser is using Larder {version} as its proxy.</p>{https}</html>\n"
    )
}

const TUNNELLED: &str = "<p>HTTPS is tunnelled: Larder does not decrypt or cache it.</p>";

fn intercepted(authority: &Authority) -> String {
    let steps: String = STEPS.iter().map(|(who, how)| format!("<dt>{who}</dt><dd>{how}</dd>")).collect();
    format!(
        "<h2>HTTPS</h2><p>Larder decrypts HTTPS here. Your device must trust its certificate authority. \
         Trust it only if whoever runs this proxy has told you to, and if the fingerprint is the one that \
         they have given you.</p>\
         <p><a href='{DER}'>larder-ca.crt</a> (DER), <a href='{PEM}'>larder-ca.pem</a> (PEM)</p>\
         <dl><dt>Name</dt><dd>{name}</dd><dt>SHA-256</dt><dd><code>{fingerprint}</code></dd>\
         <dt>Good until</dt><dd>{until}</dd></dl>\
         <h2>How to trust it</h2><dl>{steps}</dl>",
        name = escape(authority.name()),
        fingerprint = authority.fingerprint(),
        until = authority.not_after().to_http_date(),
    )
}

/// By platform.
const STEPS: &[(&str, &str)] = &[
    (
        "On the machine that runs Larder",
        "<code>larder ca install</code> does it for the system and its browsers.",
    ),
    (
        "Firefox",
        "<i>Settings</i>, <i>Privacy &amp; Security</i>, <i>View Certificates…</i>, <i>Authorities</i>, \
         <i>Import…</i> larder-ca.pem, and tick <i>Trust this CA to identify websites</i>.",
    ),
    (
        "Chrome and Chromium on Linux",
        "<i>Settings</i>, <i>Privacy and security</i>, <i>Security</i>, <i>Manage certificates</i>, \
         <i>Custom</i>, <i>Trusted certificates</i>, <i>Import</i> larder-ca.pem.",
    ),
    (
        "Windows",
        "Open larder-ca.crt, <i>Install Certificate…</i>, <i>Place all certificates in the following \
         store</i>: <i>Trusted Root Certification Authorities</i>.",
    ),
    (
        "macOS",
        "Open larder-ca.crt, which puts it into <i>Keychain Access</i>; there open it, and under <i>Trust</i> \
         choose <i>Always Trust</i>.",
    ),
    (
        "iOS and iPadOS",
        "Open larder-ca.crt in Safari and allow the profile; install it under <i>Settings</i>, <i>Profile \
         Downloaded</i>; then switch it on under <i>General</i>, <i>About</i>, <i>Certificate Trust \
         Settings</i>.",
    ),
    (
        "Android",
        "<i>Settings</i>, <i>Security</i>, <i>Encryption &amp; credentials</i>, <i>Install a certificate</i>, \
         <i>CA certificate</i>: larder-ca.crt. Browsers trust it; apps only if they say so.",
    ),
    (
        "Debian and Ubuntu",
        "<code>curl -x PROXY -o /usr/local/share/ca-certificates/larder.crt \
         http://larder.proxy/larder-ca.pem &amp;&amp; update-ca-certificates</code>",
    ),
    (
        "Fedora",
        "<code>curl -x PROXY -o /etc/pki/ca-trust/source/anchors/larder.pem \
         http://larder.proxy/larder-ca.pem &amp;&amp; update-ca-trust</code>",
    ),
    ("Programs that read variables", "<code>larder run -- COMMAND</code>, or <code>larder env</code>."),
];
