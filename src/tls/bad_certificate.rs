//! Why an origin's certificate is not accepted, in words for the person who asked for the page.

use std::fmt;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

use crate::http::Timestamp;

/// Names of a certificate that a text repeats, at most.
const NAMES_MAX: usize = 4;
/// Characters of each; no name of a host is longer.
const NAME_LENGTH_MAX: usize = 253;

/// The reason; it reads behind "the origin's certificate is not accepted:".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadCertificate {
    Expired(Timestamp),
    /// One that signed it, or one further up.
    AuthorityExpired(Timestamp),
    NotYetValid(Timestamp),
    AuthorityNotYetValid(Timestamp),
    OtherNames(Names),
    /// No subjectAltName that could be a host.
    NoNames,
    UnknownAuthority(Names),
    SelfSigned,
    OwnAuthority,
    LeakedAuthority(&'static str),
    Distrusted,
    OtherKeyThanPinned(String),
    BadSignature,
    WeakSignature,
    WeakKey,
    /// The signer may not sign, because its certificate doesn't say that it may.
    SignerIsNoAuthority,
    IsAuthority,
    WrongPurpose,
    WrongKeyUsage,
    SignerWrongKeyUsage,
    PathTooLong,
    NameNotPermitted,
    UnknownCriticalExtension,
    OldVersion,
    Malformed(String),
    TooComplex,
}

/// Names out of a certificate, made harmless.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl fmt::Display for BadCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadCertificate::Expired(on) => write!(f, "it has expired on {}", on.to_http_date()),
            BadCertificate::AuthorityExpired(on) => {
                write!(f, "the certificate of an authority above it has expired on {}", on.to_http_date())
            }
            BadCertificate::NotYetValid(from) => write!(f, "it is not valid before {}", from.to_http_date()),
            BadCertificate::AuthorityNotYetValid(from) => {
                let from = from.to_http_date();
                write!(f, "the certificate of an authority above it is not valid before {from}")
            }
            BadCertificate::OtherNames(names) => write!(f, "it is for other names: {names}"),
            BadCertificate::UnknownAuthority(names) => {
                write!(
                    f,
                    "it is signed by an unknown authority ({names}), or a certificate between is missing; \
                     if you trust that authority, add its root to this machine's or to [intercept] extra_roots"
                )
            }
            BadCertificate::LeakedAuthority(name) => {
                write!(f, "it leads to {name}, a root whose private key everybody has")
            }
            BadCertificate::OtherKeyThanPinned(found) => {
                write!(f, "its key is {found}, which is not the one that is pinned for this host")
            }
            BadCertificate::Malformed(detail) => write!(f, "it is malformed ({detail})"),
            plain => f.write_str(plain.text()),
        }
    }
}

impl BadCertificate {
    /// The reasons without a detail.
    const fn text(&self) -> &'static str {
        match self {
            BadCertificate::NoNames => "it names no host (it has no subjectAltName)",
            BadCertificate::SelfSigned => {
                "it is signed by itself, and not pinned; to accept it, add it to the trusted roots, or pin its \
                 key (intercept.pins)"
            }
            BadCertificate::OwnAuthority => {
                "it is signed by this Larder's own authority, which no origin can have: the request goes in a \
                 circle, or somebody has the key"
            }
            BadCertificate::Distrusted => "it leads to an authority that is no longer trusted",
            BadCertificate::BadSignature => "a signature on it, or on one above it, is wrong",
            BadCertificate::WeakSignature => {
                "it, or one above it, is signed in a way that is not safe, such as with SHA-1"
            }
            BadCertificate::WeakKey => "its key, or one above it, is too short to be safe",
            BadCertificate::SignerIsNoAuthority => "it is signed by a certificate that is not an authority's",
            BadCertificate::IsAuthority => "it is an authority's certificate and not a host's",
            BadCertificate::WrongPurpose => "it, or one above it, is not for servers",
            BadCertificate::WrongKeyUsage => "its key may not be used for TLS",
            BadCertificate::SignerWrongKeyUsage => "it is signed with a key that may not sign certificates",
            BadCertificate::PathTooLong => "there are more authorities above it than one of them permits",
            BadCertificate::NameNotPermitted => "an authority above it may not sign for such a name",
            BadCertificate::UnknownCriticalExtension => {
                "it, or one above it, has a critical extension that is not understood"
            }
            BadCertificate::OldVersion => "it, or one above it, is not a certificate of version 3",
            BadCertificate::TooComplex => "there are too many ways from it to an authority",
            // These have a detail.
            BadCertificate::Expired(_)
            | BadCertificate::AuthorityExpired(_)
            | BadCertificate::NotYetValid(_)
            | BadCertificate::AuthorityNotYetValid(_)
            | BadCertificate::OtherNames(_)
            | BadCertificate::UnknownAuthority(_)
            | BadCertificate::LeakedAuthority(_)
            | BadCertificate::OtherKeyThanPinned(_)
            | BadCertificate::Malformed(_) => "",
        }
    }
}

impl std::error::Error for BadCertificate {}

impl Names {
    /// The hosts and addresses in subjectAltName.
    pub(super) fn of_hosts(certificate: &X509Certificate<'_>) -> Names {
        let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Names::default() };
        let text = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) => Some(harmless(name)),
            GeneralName::IPAddress(octets) => address(octets),
            _ => None,
        };
        Names(extension.value.general_names.iter().filter_map(text).collect())
    }

    /// Who has signed.
    pub(super) fn of_issuer(certificate: &X509Certificate<'_>) -> Names {
        let issuer = certificate.issuer();
        let mut names = issuer.iter_common_name().chain(issuer.iter_organization());
        Names(names.find_map(|name| name.as_str().ok()).map(harmless).into_iter().collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, rest)) = self.0.split_first() else { return f.write_str("without a name") };
        f.write_str(first)?;
        for name in rest.iter().take(NAMES_MAX - 1) {
            write!(f, ", {name}")?;
        }
        match self.0.len().saturating_sub(NAMES_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// A name as a person may read it: no control characters, nothing that turns text around, and
/// not endless.
fn harmless(name: &str) -> String {
    let shown =
        |character: char| if character.is_ascii_graphic() || character == ' ' { character } else { '?' };
    name.chars().take(NAME_LENGTH_MAX).map(shown).collect()
}

fn address(octets: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(octets).map(std::net::IpAddr::from);
    let ip = v4.or_else(|_not_four| <[u8; 16]>::try_from(octets).map(std::net::IpAddr::from)).ok()?;
    Some(ip.to_string())
}
