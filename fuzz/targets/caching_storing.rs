//! Which responses are stored, and which of the variants a request selects, by what must hold
//! whatever the fields are.

use larder::caching::{
    CachePolicy, NotStored, SetCookie, StoredHead, Targets, may_keep, may_store, part_of_whole,
    storable_request,
};
use larder::http::grammar::is_token;
use larder::http::{BodyLength, FieldName, Fields, Method, Request, Response};

use super::input::{Input, fields, joined, request, response, seed, times, values};

fn has(octets: &[u8], text: &str) -> bool {
    octets.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

/// Values of `Vary`, the fields of the request that brought the response, those of another one.
pub fn vary(data: &[u8]) {
    let mut input = Input(data);
    let vary = values("Vary", input.block(), &[]);
    let (one, other) = (fields(input.block()), fields(input.block()));
    let language = fields(input.rest());
    let has_language = language.all_named(b"Content-Language").next().is_some();
    let head_for = |asked: &Fields| {
        let answer =
            response(200, joined(&vary, &language.without(|line| line.id == FieldName::Vary).build()));
        StoredHead::new(&request(Method::Get, asked.clone()), &answer, times(0, 0))
    };
    let head = head_for(&one);
    let is_readable = vary.members(FieldName::Vary).all(is_token);
    assert_eq!(head.selects(&one), is_readable, "the request that it answered");
    if !is_readable {
        return;
    }
    let selected = head.selects(&other);
    let again = StoredHead::from_parts(head.to_parts());
    assert_eq!(again.selects(&other), selected, "written down and read again");
    assert!(
        has_language || head_for(&other).selects(&one) == selected,
        "one selects the other, and not back"
    );
    // RFC 9111 §4.1: "combining multiple header field lines with the same field name".
    assert_eq!(head.selects(&combined(&other)), selected, "in one line");
    let names: Vec<Vec<u8>> = vary.members(FieldName::Vary).map(<[u8]>::to_ascii_lowercase).collect();
    if !names.iter().any(|name| name == b"x-unnamed") {
        let more = joined(&other, &values("X-Unnamed", b"1", &[]));
        assert_eq!(head.selects(&more), selected, "by a field that Vary does not name");
    }
    let is_weighted = |name: &Vec<u8>| name == b"accept-language" || name == b"accept-encoding";
    if !names.iter().any(is_weighted) {
        let same = names.iter().all(|name| list(&one, name) == list(&other, name));
        let is_quoted = |fields: &Fields| fields.iter().any(|field| field.value.contains(&b'"'));
        assert!(selected == same || is_quoted(&one) || is_quoted(&other), "{one:?} {other:?}");
    }
}

/// The members of a field, if it is there.
fn list(fields: &Fields, name: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut lines = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).peekable();
    lines.peek()?;
    let members = lines.flat_map(|field| field.value.split(|octet| *octet == b','));
    Some(members.map(|member| member.trim_ascii().to_vec()).filter(|member| !member.is_empty()).collect())
}

/// The same fields, each in one line.
fn combined(fields: &Fields) -> Fields {
    let mut out = Fields::builder();
    let mut done: Vec<Vec<u8>> = Vec::new();
    for field in fields.iter() {
        let name = field.name.to_ascii_lowercase();
        if !done.contains(&name) {
            let same = fields.iter().filter(|other| other.name.eq_ignore_ascii_case(field.name));
            out.push(field.name, &same.map(|other| other.value).collect::<Vec<_>>().join(&b", "[..]));
            done.push(name);
        }
    }
    out.build()
}

pub fn vary_seeds() -> Vec<Vec<u8>> {
    [
        "Accept, X\n\nAccept: a, b\n\nAccept: a\nAccept: b",
        "accept-encoding\n\nAccept-Encoding: gzip;q=0.5, br\n\nAccept-Encoding: br, x-gzip;q=0.500",
        "Accept-Language\n\nAccept-Language: de, en;q=0.5\n\nAccept-Language: en\n\nContent-Language: en",
        "*\n\n\n\n*: x",
        "X\n\nX: \"a, b\", c\nX: d\n\nX:",
        // A quoted string without an end did not match itself.
        "X\n\nX: \", c\nX: d\n\nX:a,",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// A request and its response: what is stored may be, and a sign against it counts in whatever company.
pub fn storing(data: &[u8]) {
    let mut input = Input(data);
    let method =
        [Method::Get, Method::Get, Method::Post, Method::Head][input.number::<1>() as usize % 4].clone();
    let status = (input.number::<2>() % 900) as u16 + 100;
    let length = match input.number::<1>() % 4 {
        0 => BodyLength::Chunked,
        1 => BodyLength::UntilClose,
        2 => BodyLength::None,
        _ => BodyLength::Exact(5),
    };
    let (asking, answering) = (input.block(), input.rest());
    let asked = request(method, fields(asking));
    let answer = Response { length, ..response(status, fields(answering)) };
    let policy = CachePolicy::default();
    if let Ok(part) = part_of_whole(&asked, &answer) {
        assert!(part.range.first <= part.range.last && part.range.last < part.complete_length());
        assert_eq!((answer.status, part.whole.status), (206, 200));
    }
    let store = |asked: &Request, answer: &Response| may_store(asked, answer, times(0, 0), &policy);
    let asked_with = |name: &str, value: &str| Request {
        fields: joined(&asked.fields, &values(name, value.as_bytes(), &[])),
        ..asked.clone()
    };
    let answered_with = |name: &str, value: &str| Response {
        fields: joined(&answer.fields, &values(name, value.as_bytes(), &[])),
        ..answer.clone()
    };
    // Adding one of these to the request or to the response.
    assert!(store(&asked_with("Cache-Control", "no-store"), &answer).is_err(), "a request's no-store");
    let is_unkeyed = store(&asked_with("X-Forwarded-Host", "b.example"), &answer).is_err();
    assert!(is_unkeyed || has(answering, "x-forwarded-host"), "an unkeyed field");
    assert!(store(&asked_with("X-HTTP-Method-Override", "DELETE"), &answer).is_err(), "another method");
    for vary in ["*", "Authorization", "Accept, cookie"] {
        assert!(store(&asked, &answered_with("Vary", vary)).is_err(), "Vary: {vary}");
    }
    // RFC 9213 §2.2: with a targeted field "all other cache control fields are ignored".
    let is_targeted = has(answering, "larder-cache-control");
    if !is_targeted {
        assert!(store(&asked, &answered_with("Cache-Control", "private")).is_err(), "private");
        let no_store = store(&asked, &answered_with("Cache-Control", "no-store"));
        assert!(no_store.is_err() || has(answering, "must-understand"), "no-store");
    }
    let is_for_all = has(answering, "public") || has(answering, "s-maxage");
    let authorised = store(&asked_with("Authorization", "Basic eDp5"), &answer);
    assert!(authorised.is_err() || is_for_all || has(answering, "must-revalidate"), "Authorization");
    let with_cookie = store(&asked, &answered_with("Set-Cookie", "a=b"));
    assert!(with_cookie.is_err() || is_for_all || has(answering, "set-cookie"), "Set-Cookie");
    let never = CachePolicy { set_cookie: SetCookie::Never, ..policy.clone() };
    let with_cookie = may_store(&asked, &answered_with("Set-Cookie", "a=b"), times(0, 0), &never);
    assert!(with_cookie.is_err() || has(answering, "set-cookie"), "Set-Cookie, never");
    if store(&asked, &answer) == Ok(()) {
        check_stored(&asked, &answer, &policy);
    }
}

/// What holds of a response that is stored.
fn check_stored(asked: &Request, answer: &Response, policy: &CachePolicy) {
    assert!(matches!(asked.method, Method::Get | Method::Post), "{:?}", asked.method);
    assert!(answer.status >= 200 && ![206, 304].contains(&answer.status), "{}", answer.status);
    let storable = storable_request(asked, policy);
    let is_keyed = answer.fields.contains(FieldName::Vary);
    assert!(storable == Ok(()) || storable == Err(NotStored::UnkeyedField) && is_keyed, "{storable:?}");
    let head = StoredHead::with_targets(asked, answer, times(0, 0), &Targets::default());
    assert_eq!(may_keep(asked, &head, policy), Ok::<(), NotStored>(()), "stored, and not to be kept");
    assert!(head.selects(&asked.fields));
    for name in ["Connection", "Keep-Alive", "Proxy-Connection", "TE", "Transfer-Encoding", "Upgrade", "Age"]
    {
        assert!(head.fields.all_named(name.as_bytes()).next().is_none(), "{name} is kept");
    }
}

pub fn storing_seeds() -> Vec<Vec<u8>> {
    [
        (
            200,
            "Accept: a\n\nCache-Control: max-age=60, no-cache=\"set-cookie\"\nSet-Cookie: a=b\nVary: Accept",
        ),
        (200, "Authorization: Basic eDp5\n\nCache-Control: public, max-age=5\nConnection: x\nX: y\nAge: 7"),
        (404, "\n\nLarder-Cache-Control: max-age=5\nCache-Control: no-store, must-understand"),
        (206, "Range: bytes=0-4\n\nContent-Range: bytes 0-4/10\nETag: \"a\"\nContent-Type: text/plain"),
        (203, "Cache-Control: no-store\n\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nExpires: 0"),
    ]
    .map(|(status, text): (u16, &str)| {
        let [high, low] = (status - 100).to_be_bytes();
        seed(&[0, high, low, 3], text)
    })
    .to_vec()
}
