//! May it be stored?

use super::*;
use NotStored::*;

fn check(asked: &str, status: u16, lines: &str, expected: Result<(), NotStored>) {
    let found = may_store(&request(asked), &response(status, lines), TIMES, &CachePolicy::default());
    assert_eq!(found, expected, "{asked:?} -> {status} {lines:?}");
}

#[test]
fn responses() {
    let cases: &[(u16, &str, Result<(), NotStored>)] = &[
        (200, "Cache-Control: max-age=60", Ok(())),
        (200, "Cache-Control: s-maxage=60", Ok(())),
        (200, "Expires: {+60}", Ok(())),
        (200, "Expires: {+60}\nDate: nonsense", Ok(())),
        (200, "", Err(NoFreshness)),
        (200, "ETag: \"a\"", Ok(())),
        (200, "ETag: a", Err(NoFreshness)),
        (200, "Last-Modified: {-60}", Ok(())),
        (200, "Last-Modified: yesterday", Err(NoFreshness)),
        (200, "Cache-Control: max-age=0", Err(NoFreshness)),
        (200, "Cache-Control: max-age=0\nETag: \"a\"", Ok(())),
        (200, "Cache-Control: max-age=0, stale-while-revalidate=9", Ok(())),
        (200, "Cache-Control: max-age=0, stale-if-error=9", Ok(())),
        (200, "Expires: 0", Err(NoFreshness)),
        (200, "Cache-Control: public", Err(NoFreshness)),
        (200, "Cache-Control: no-cache, max-age=60", Err(NoValidator)),
        (200, "Cache-Control: no-cache\nETag: \"a\"", Ok(())),
        (200, "Cache-Control: max-age=60, no-store", Err(NoStore)),
        (200, "Cache-Control: max-age=60, No-StOrE", Err(NoStore)),
        (200, "Cache-Control: max-age=60\nCache-Control: no-store", Err(NoStore)),
        (200, "Cache-Control: max-age=60, x=\"no-store\"", Ok(())),
        // §5.2.3: what is unknown is ignored, whatever it looks like.
        (200, "Cache-Control: max-age=60, community=\"UCI\"", Ok(())),
        (200, "Cache-Control: max-age=60, no-storage", Ok(())),
        (200, "Cache-Control: max-age=60, x-no-store, privately, no-store-ever=no-store", Ok(())),
        (200, "Cache-Control: max-age=60, a-directive-with-a-name-longer-than-any-known, y=", Ok(())),
        (200, "Cache-Control: max-age=60, =no-store", Ok(())),
        (200, "Cache-Control: x=1, y, z=\"\"", Err(NoFreshness)),
        (200, "Cache-Control: max-age=60, unknown=\"a, b\", no-store", Err(NoStore)),
        (200, "Cache-Control: max-age=60, x=\"y, no-store", Err(NoStore)),
        (200, "Cache-Control: max-age=60, no-store=x", Err(NoStore)),
        (200, "Cache-Control: max-age=60, private", Err(Private)),
        (200, "Cache-Control: max-age=60, private=\"\"", Err(Private)),
        (200, "Cache-Control: max-age=60, private=\"X-User\"", Ok(())),
        (200, "Cache-Control: max-age=60, private=\"X-User, vary\"", Err(Private)),
        (200, "Cache-Control: max-age=60, private=\"X-User", Err(NoStore)),
        (200, "Cache-Control: max-age=60, no-store, must-understand", Ok(())),
        (599, "Cache-Control: max-age=60, no-store, must-understand", Err(Status)),
        (599, "Cache-Control: max-age=60, must-understand", Err(Status)),
        (599, "Cache-Control: max-age=60", Ok(())),
        (206, "Cache-Control: max-age=60, public", Err(Partial)),
        (304, "Cache-Control: max-age=60", Err(Status)),
        (103, "Cache-Control: max-age=60", Err(Status)),
        (200, "Cache-Control: max-age=60\nVary: *", Err(VaryStar)),
        (200, "Cache-Control: max-age=60\nVary: \nVary: a, *", Err(VaryStar)),
        // What is not a field name is `*` (case 1.6).
        (200, "Cache-Control: max-age=60\nVary: Accept-Encoding User-Agent", Err(VaryStar)),
        (200, "Cache-Control: max-age=60\nVary: Accept-Encoding; Origin", Err(VaryStar)),
        (200, "Cache-Control: max-age=60\nVary: \"Accept-Encoding\"", Err(VaryStar)),
        (200, "Cache-Control: max-age=60\nVary: a, b:", Err(VaryStar)),
        (200, "Cache-Control: max-age=60\nVary: a,, b,", Ok(())),
        (200, "Cache-Control: max-age=60\nPreference-Applied: return=minimal", Err(UnkeyedField)),
        (200, "Cache-Control: max-age=60\nPreference-Applied: x\nVary: prefer", Ok(())),
        (200, "Cache-Control: max-age=60\nVary: accept, COOKIE", Err(VarySecret)),
        (200, "Cache-Control: max-age=60\nVary: Authorization", Err(VarySecret)),
        (200, "Cache-Control: max-age=60\nVary: a, b, c, d, e, f, g, h", Ok(())),
        (200, "Cache-Control: max-age=60\nVary: a, b, c, d, e, f, g, h\nVary: i", Err(VaryTooMany)),
    ];
    for &(status, lines, expected) in cases {
        check("", status, lines, expected);
    }
}

#[test]
fn statuses_without_explicit_freshness() {
    let heuristic = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];
    for status in
        [heuristic.as_slice(), &[201, 202, 302, 303, 307, 400, 403, 500, 502, 503, 504, 599]].concat()
    {
        let expected = if heuristic.contains(&status) { Ok(()) } else { Err(NoFreshness) };
        check("", status, "Last-Modified: {-86400}", expected);
        check("", status, "Last-Modified: {-86400}\nCache-Control: public", Ok(()));
        check("", status, "", Err(NoFreshness));
        // An error is never validated, so that an entity tag alone is of no use to it.
        let tagged = if status < 400 && heuristic.contains(&status) { Ok(()) } else { Err(NoFreshness) };
        check("", status, "ETag: \"a\"", tagged);
        check("", status, "Cache-Control: max-age=60", Ok(()));
        check("", status, "Expires: {+60}", Ok(()));
        check("", status, "Cache-Control: max-age=0, stale-if-error=9", Ok(()));
    }
}

#[test]
fn requests() {
    let fresh = "Cache-Control: max-age=60";
    let cases: &[(&str, &str, Result<(), NotStored>)] = &[
        ("HEAD", fresh, Err(Method)),
        ("PUT", fresh, Err(Method)),
        ("OPTIONS", fresh, Err(Method)),
        ("M-SEARCH", fresh, Err(Method)),
        ("get", fresh, Err(Method)),
        ("Cache-Control: no-store", fresh, Err(RequestNoStore)),
        ("Cache-Control: no-cache", fresh, Ok(())),
        ("Cookie: a=b", fresh, Ok(())),
        ("X-Forwarded-For: 192.0.2.1", fresh, Ok(())),
        ("X-Forwarded-For: <script>", fresh, Err(UnkeyedField)),
        ("x-forwarded-host: evil.example", fresh, Err(UnkeyedField)),
        // What Vary names is a part of the key (case S14).
        ("X-Forwarded-Host: a", "Cache-Control: max-age=60\nVary: x-forwarded-host", Ok(())),
        ("X-Forwarded-Host: a\nRSC: 1", "Cache-Control: max-age=60\nVary: RSC", Err(UnkeyedField)),
        ("X-HTTP-Method: PUT", "Cache-Control: max-age=60\nVary: X-HTTP-Method", Err(MethodOverride)),
        ("X-Forwarded-Proto: https", fresh, Err(UnkeyedField)),
        ("X-Forwarded-Scheme: https", fresh, Err(UnkeyedField)),
        ("X-Forwarded-Port: 1", fresh, Err(UnkeyedField)),
        ("X-Host: evil.example", fresh, Err(UnkeyedField)),
        ("Forwarded: host=evil.example", fresh, Err(UnkeyedField)),
        ("X-Original-URL: /admin", fresh, Err(UnkeyedField)),
        ("X-Rewrite-URL: /admin", fresh, Err(UnkeyedField)),
        // What ends at Larder's own connection the origin has not seen, and a variant would.
        ("Connection: X-Kind\nX-Kind: a", fresh, Err(UnkeyedField)),
        ("Connection: close, X-Kind", fresh, Ok(())),
        ("Connection: Authorization\nAuthorization: x", fresh, Err(Authorization)),
        ("X-HTTP-Method-Override: POST", fresh, Err(MethodOverride)),
        ("X-HTTP-Method: POST", fresh, Err(MethodOverride)),
        ("X-Method-Override: POST", fresh, Err(MethodOverride)),
        ("Authorization: x", fresh, Err(Authorization)),
        ("Authorization: x", "Expires: {+60}", Err(Authorization)),
        ("Authorization: x", "Cache-Control: max-age=60, public", Ok(())),
        ("Authorization: x", "Cache-Control: max-age=60, must-revalidate", Ok(())),
        ("Authorization: x", "Cache-Control: s-maxage=60", Ok(())),
        ("Authorization: x", "Cache-Control: max-age=60, proxy-revalidate", Err(Authorization)),
        ("Authorization: x", "Cache-Control: s-maxage=60, private", Err(Private)),
        ("POST", fresh, Err(Method)),
        ("POST", "Cache-Control: max-age=60\nContent-Location: http://a.example/x", Ok(())),
        ("POST", "Cache-Control: max-age=60\nContent-Location: /x", Ok(())),
        ("POST", "Cache-Control: max-age=60\nContent-Location: /y", Err(Method)),
        ("POST", "Content-Location: /x\nLast-Modified: {-60}", Err(NoFreshness)),
        ("POST", "Cache-Control: max-age=60\nContent-Location: /x\nContent-Location: /x", Err(Method)),
        ("POST", "Cache-Control: max-age=60\nContent-Location: https://a.example/x", Err(Method)),
        ("POST", "Cache-Control: max-age=0\nContent-Location: /x\nETag: \"a\"", Err(NoFreshness)),
        ("POST\nAuthorization: x", "Cache-Control: max-age=60\nContent-Location: /x", Err(Authorization)),
        (
            "POST\nX-HTTP-Method-Override: GET",
            "Cache-Control: max-age=60\nContent-Location: /x",
            Err(MethodOverride),
        ),
        ("PATCH", "Cache-Control: max-age=60\nContent-Location: /x", Err(Method)),
    ];
    for &(asked, lines, expected) in cases {
        check(asked, 200, lines, expected);
    }
}

#[test]
fn framing() {
    let (mut asked, mut came) = (request(""), response(200, "Cache-Control: max-age=60"));
    let policy = CachePolicy::default();
    came.length = BodyLength::UntilClose;
    assert_eq!(may_store(&asked, &came, TIMES, &policy), Ok(()));
    came.length = BodyLength::Exact(5);
    assert_eq!(may_store(&asked, &came, TIMES, &policy), Ok(()));
    asked.length = BodyLength::Exact(0);
    assert_eq!(may_store(&asked, &came, TIMES, &policy), Ok(()));
    for length in [BodyLength::Exact(1), BodyLength::Chunked] {
        asked.length = length;
        assert_eq!(may_store(&asked, &came, TIMES, &policy), Err(RequestContent), "{length:?}");
    }
}

#[test]
fn cookies() {
    let cases = [
        (crate::caching::SetCookie::Shared, "max-age=60", Err(SetCookie)),
        (crate::caching::SetCookie::Shared, "max-age=60, public", Ok(())),
        (crate::caching::SetCookie::Shared, "s-maxage=60", Ok(())),
        (crate::caching::SetCookie::Rfc, "max-age=60", Ok(())),
        (crate::caching::SetCookie::Rfc, "max-age=60, private", Err(Private)),
        (crate::caching::SetCookie::Never, "max-age=60, public", Err(SetCookie)),
        (crate::caching::SetCookie::Shared, "max-age=60, no-cache=\"set-cookie\"", Ok(())),
        (crate::caching::SetCookie::Never, "max-age=60, private=\"Set-Cookie, X\"", Ok(())),
        (crate::caching::SetCookie::Never, "max-age=60, private=\"X\"", Err(SetCookie)),
    ];
    for (set_cookie, cache_control, expected) in cases {
        let policy = CachePolicy { set_cookie, ..CachePolicy::default() };
        let came = response(200, &format!("Cache-Control: {cache_control}\nSet-Cookie: a=b"));
        assert_eq!(
            may_store(&request(""), &came, TIMES, &policy),
            expected,
            "{set_cookie:?} {cache_control}"
        );
    }
}

#[test]
fn statuses_that_speak_of_one_request_are_never_stored() {
    let fresh = "Cache-Control: max-age=60, public";
    for status in [226, 407, 408, 411, 412, 413, 415, 416, 417, 421, 425, 426, 428, 429, 431, 511] {
        check("", status, fresh, Err(UnkeyedStatus));
        check("Cache-Control: no-store", status, fresh, Err(RequestNoStore));
    }
    for status in [200, 203, 204, 300, 301, 302, 400, 402, 404, 405, 410, 414, 422, 451, 500, 503] {
        check("", status, fresh, Ok(()));
    }
    for status in [401, 403] {
        check("", status, fresh, Ok(()));
        check("Authorization: x", status, fresh, Err(UnkeyedStatus));
        check("Cookie: a=b", status, fresh, Err(UnkeyedStatus));
    }
    check("", 406, fresh, Ok(()));
    check("Accept: a/b", 406, fresh, Err(UnkeyedStatus));
    check("Accept-Charset: x", 406, fresh, Err(UnkeyedStatus));
    check("Accept: a/b", 406, "Cache-Control: max-age=60\nVary: Accept", Ok(()));
    check(
        "Accept: a/b\nAccept-Encoding: x",
        406,
        "Cache-Control: max-age=60\nVary: Accept",
        Err(UnkeyedStatus),
    );
}

#[test]
fn fields_that_origins_build_responses_from() {
    let fresh = "Cache-Control: max-age=60";
    for name in [
        "X-Forwarded-Server",
        "X-Forwarded-Prefix",
        "X-Forwarded-Ssl",
        "X-Original-Host",
        "X-Original-Path",
        "X-Rewrite-Uri",
        "X-Nextjs-Data",
        "RSC",
        "Next-Router-State-Tree",
        "Next-Action",
        "X-Middleware-Prefetch",
        "X-Invoke-Status",
        "X-Now-Route-Matches",
        "X_Forwarded_Host",
        "x-url-scheme",
        "Front-End-Https",
        "Surrogate-Capability",
        "X-Requested-With",
        "HX-Request",
        "True-Client-IP",
        "CF-Connecting-IP",
    ] {
        check(&format!("{name}: 1"), 200, fresh, Err(UnkeyedField));
        check(&format!("{name}: 1"), 200, &format!("{fresh}\nVary: {name}"), Ok(()));
    }
    for name in ["X-Request-Id", "Sec-Fetch-Mode", "DNT", "Priority", "Referer", "Origin", "X-Csrf-Token"] {
        check(&format!("{name}: 1"), 200, fresh, Ok(()));
    }
}
