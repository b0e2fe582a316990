//! The reasons for which a response is not stored, one for each clause. The rules stand in
//! `storing.rs`.

use std::fmt;

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotStored {
    /// The method is not GET, nor POST with a `Content-Location` of its own (RFC 9110 §9.3.3).
    Method,
    /// The request has `no-store` (§5.2.1.5).
    RequestNoStore,
    /// A GET request with content, which the cache key does not cover.
    RequestContent,
    /// The request asks for another method in a field.
    MethodOverride,
    /// The request has a field that origins are known to build URIs from.
    UnkeyedField,
    /// The status speaks of fields of this request that the cache key lacks.
    UnkeyedStatus,
    /// The status is not final, or not understood where it must be (§3).
    Status,
    /// A part of a representation (§3.3).
    Partial,
    /// `no-store` (§5.2.2.5).
    NoStore,
    /// `private` (§5.2.2.7).
    Private,
    /// The request was authorised and the response is not marked as shareable (§3.5).
    Authorization,
    /// Nothing says how long the response is fresh, and there is no validator either (§3).
    NoFreshness,
    /// Each use needs a validation, for which there is no validator (§5.2.2.4).
    NoValidator,
    /// `Set-Cookie`, as the operator chose.
    SetCookie,
    /// `Vary: *` (§4.1).
    VaryStar,
    /// More names in `Vary` than the operator allows.
    VaryTooMany,
    /// `Vary` names a credential: as many variants as users.
    VarySecret,
    /// The origin fails, and what is stored already is of more use.
    OriginFails,
    /// It was asked for before what is stored already.
    Outdated,
    /// With what the origin has added, the head is larger than the limits on heads allow.
    HeadSize,
    /// `Vary` has a name for which nobody knows what the request had that was stored (§4.1).
    VaryUnknown,
    /// A rule of the operator.
    Rule,
}

impl NotStored {
    /// A short token for `Cache-Status: …; detail=` and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            NotStored::Method => "method",
            NotStored::RequestNoStore => "request-no-store",
            NotStored::RequestContent => "request-content",
            NotStored::MethodOverride => "method-override",
            NotStored::UnkeyedField => "unkeyed-field",
            NotStored::UnkeyedStatus => "unkeyed-status",
            NotStored::Status => "status",
            NotStored::Partial => "partial",
            NotStored::NoStore => "no-store",
            NotStored::Private => "private",
            NotStored::Authorization => "authorization",
            NotStored::NoFreshness => "no-freshness",
            NotStored::NoValidator => "no-validator",
            NotStored::SetCookie => "set-cookie",
            NotStored::VaryStar => "vary-star",
            NotStored::VaryTooMany => "vary-too-many",
            NotStored::VarySecret => "vary-secret",
            NotStored::OriginFails => "origin-fails",
            NotStored::Outdated => "outdated",
            NotStored::HeadSize => "head-size",
            NotStored::VaryUnknown => "vary-unknown",
            NotStored::Rule => "rule",
        }
    }

    /// The same for people, with the clause that says so.
    pub const fn because(self) -> (&'static str, &'static str) {
        match self {
            NotStored::Method => ("responses to this method are not stored", "RFC 9110 §9.3"),
            NotStored::RequestNoStore => ("the request says no-store", "RFC 9111 §5.2.1.5"),
            NotStored::RequestContent => {
                ("a GET with content has no cache key of its own", "RFC 9110 §9.3.1")
            }
            NotStored::MethodOverride => ("the request asks for another method in a field", "cache safety"),
            NotStored::UnkeyedField => {
                ("the request has a field that the origin may act on and the cache key lacks", "cache safety")
            }
            NotStored::UnkeyedStatus => (
                "the status speaks of this request's own fields, which the cache key lacks",
                "RFC 9110 §15.5",
            ),
            NotStored::Status => ("the status is not final, or not understood", "RFC 9111 §3"),
            NotStored::Partial => ("it is a part that can't be kept as one", "RFC 9111 §3.3"),
            NotStored::NoStore => ("the response says no-store", "RFC 9111 §5.2.2.5"),
            NotStored::Private => ("the response says private", "RFC 9111 §5.2.2.7"),
            NotStored::Authorization => {
                ("the request was authorised, and the response is not marked for others", "RFC 9111 §3.5")
            }
            NotStored::NoFreshness => {
                ("nothing says how long it is fresh, and nothing to validate it by", "RFC 9111 §3")
            }
            NotStored::NoValidator => {
                ("each use would need a validation, and it has no validator", "RFC 9111 §5.2.2.4")
            }
            NotStored::SetCookie => {
                ("it sets a cookie and is not marked for shared caches", "cache.set_cookie, RFC 9111 §7.3")
            }
            NotStored::VaryStar => {
                ("Vary: *, or a member that is not a field name, matches no other request", "RFC 9111 §4.1")
            }
            NotStored::VaryTooMany => ("Vary has more names than are kept", "cache safety"),
            NotStored::VarySecret => ("Vary names a credential: a variant for each user", "cache safety"),
            NotStored::Rule => ("a rule of the operator keeps it out", "cache.rule.never"),
            NotStored::OriginFails => {
                ("the origin fails, and what is stored already is of more use", "RFC 9111 §4.2.4")
            }
            NotStored::Outdated => ("it was asked for before what is stored already", "RFC 9111 §4"),
            NotStored::HeadSize => ("its head would exceed the limits on heads", "limits"),
            NotStored::VaryUnknown => {
                ("Vary names a field of the stored request that nobody remembers", "RFC 9111 §4.1")
            }
        }
    }

    /// The reason with this token.
    pub fn of_token(token: &str) -> Option<NotStored> {
        NotStored::ALL.into_iter().find(|reason| reason.as_str() == token)
    }

    pub(super) const ALL: [NotStored; 22] = [
        NotStored::Method,
        NotStored::RequestNoStore,
        NotStored::RequestContent,
        NotStored::MethodOverride,
        NotStored::UnkeyedField,
        NotStored::UnkeyedStatus,
        NotStored::Status,
        NotStored::Partial,
        NotStored::NoStore,
        NotStored::Private,
        NotStored::Authorization,
        NotStored::NoFreshness,
        NotStored::NoValidator,
        NotStored::SetCookie,
        NotStored::VaryStar,
        NotStored::VaryTooMany,
        NotStored::VarySecret,
        NotStored::OriginFails,
        NotStored::Outdated,
        NotStored::HeadSize,
        NotStored::VaryUnknown,
        NotStored::Rule,
    ];

    /// Whether the request is the reason, so that nothing is said about a response that is
    /// stored already.
    pub const fn is_about_request(self) -> bool {
        matches!(
            self,
            NotStored::Method
                | NotStored::RequestNoStore
                | NotStored::RequestContent
                | NotStored::MethodOverride
                | NotStored::UnkeyedField
                | NotStored::UnkeyedStatus
                | NotStored::OriginFails
                | NotStored::Outdated
                | NotStored::Authorization
        )
    }
}

impl fmt::Display for NotStored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
