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
    /// The end of the content is the end of the connection, which may as well be a failure
    /// (§3.3, RFC 9112 §8).
    Length,
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
            NotStored::Length => "length",
            NotStored::Rule => "rule",
        }
    }

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
                | NotStored::Authorization
        )
    }
}

impl fmt::Display for NotStored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
