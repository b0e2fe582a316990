//! Lists and structured fields. What was parsed is the same when it is written canonically and
//! parsed again, and lines of a field are one value with commas (RFC 9651 §4, RFC 9110 §5.6.1).

use larder::http::grammar::{Members, Split, is_token, trim, unquote};
use larder::http::structured::{BareItem, MemberValue, dictionary, list};

use super::input::seed;

/// Lines of a field as a list and as a dictionary.
pub fn structured(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|octet| *octet == b'\n').collect();
    let joined = lines.join(&b", "[..]);
    let members = list(lines.iter().copied());
    assert_eq!(members, list([&joined[..]].into_iter()), "lines are not one value with commas");
    if let Some(members) = &members {
        check_again(members.iter().map(|member| (None, member)), |text| {
            let again = list([text].into_iter());
            assert_eq!(again.as_ref(), Some(members), "{}", text.escape_ascii());
        });
        let more = [&joined, &b", last"[..]].concat();
        if !joined.iter().all(|octet| *octet == b' ') {
            // RFC 9651 §4.2.1: one more member behind a comma.
            let more = list([&more[..]].into_iter()).expect("one more token");
            assert_eq!(more.len(), members.len() + 1);
            let open = [&joined, &b","[..]].concat();
            assert_eq!(list([&open[..]].into_iter()), None, "a comma without a member behind it");
        }
    }
    let members = dictionary(lines.iter().copied());
    assert_eq!(members, dictionary([&joined[..]].into_iter()));
    let Some(members) = members else { return };
    for (at, (key, _)) in members.iter().enumerate() {
        assert!(members[..at].iter().all(|(known, _)| known != key), "a key twice");
    }
    check_again(members.iter().map(|(key, member)| (Some(&key[..]), member)), |text| {
        let again = dictionary([text].into_iter());
        assert_eq!(again.as_ref(), Some(&members), "{}", text.escape_ascii());
    });
    // RFC 9651 §4.2.2: the last value of a key counts, where the first stood.
    if let Some((key, _)) = members.first() {
        let more = [&joined, &b", "[..], key, b"=?0"].concat();
        let more = dictionary([&more[..]].into_iter()).expect("one more member");
        assert_eq!(more.len(), members.len());
        assert_eq!(more[0], (key.clone(), MemberValue::Item(BareItem::Boolean(false))));
    }
}

/// Gives the canonical form to `check`, where all the values are of types that are kept.
fn check_again<'a>(
    members: impl Iterator<Item = (Option<&'a [u8]>, &'a MemberValue)>,
    check: impl FnOnce(&[u8]),
) {
    let mut out = Vec::new();
    for (key, value) in members {
        if !out.is_empty() {
            out.extend(b", ");
        }
        if let Some(key) = key {
            out.extend([key, b"="].concat());
        }
        let is_written = match value {
            MemberValue::Item(item) => write(&mut out, item),
            MemberValue::InnerList(items) => {
                out.push(b'(');
                let all = items.iter().enumerate().all(|(at, item)| {
                    if at > 0 {
                        out.push(b' ');
                    }
                    write(&mut out, item)
                });
                out.push(b')');
                all
            }
        };
        if !is_written {
            return;
        }
    }
    check(&out);
}

/// RFC 9651 §4.1.3; false for a value that was not kept.
fn write(out: &mut Vec<u8>, item: &BareItem) -> bool {
    match item {
        BareItem::Integer(number) => {
            assert!(number.unsigned_abs() < 10u64.pow(15), "an integer of more than 15 digits");
            out.extend(number.to_string().bytes());
        }
        BareItem::Boolean(value) => out.extend(if *value { b"?1" } else { b"?0" }),
        BareItem::String(text) => {
            out.push(b'"');
            for octet in text {
                assert!((b' '..=b'~').contains(octet), "an octet that no string has");
                if matches!(octet, b'"' | b'\\') {
                    out.push(b'\\');
                }
                out.push(*octet);
            }
            out.push(b'"');
        }
        BareItem::Token(text) => out.extend(text),
        BareItem::Other => return false,
    }
    true
}

pub fn structured_seeds() -> Vec<Vec<u8>> {
    [
        "a=1, b=?0;x=2, c=\"d\\\"e\", f=token/x",
        "max-age=600, stale=(1 \"a\" b), d=@1659578233, e=%\"%c3%bc\"",
        "\"one\", two;q=0.5, -3\n:aGVsbG8=:, (a;b=1 c)",
        "a, a=2, *b.c-d_e=1.125, f",
    ]
    .map(|text| seed(&[], text))
    .to_vec()
}

/// A field's value as a list (RFC 9110 §5.6.1).
pub fn members(data: &[u8]) {
    let found: Vec<&[u8]> = Members::of(data).collect();
    assert!(found.iter().all(|member| !member.is_empty() && trim(member) == *member));
    let pieces = Split::of(data, b',').count();
    assert!(found.len() <= pieces);
    // Joined again it is the same list, if the last of them ends its quotation.
    let joined = found.join(&b", "[..]);
    assert_eq!(Members::of(&joined).collect::<Vec<_>>(), found);
    if !data.contains(&b'"') {
        let expected: Vec<&[u8]> =
            data.split(|octet| *octet == b',').map(trim).filter(|member| !member.is_empty()).collect();
        assert_eq!(found, expected, "without quotation a comma ends a member");
    }
    for member in found {
        if is_token(member) {
            assert_eq!(unquote(member).as_deref(), Some(member));
        }
        let Some(text) = unquote(member).filter(|_| member.starts_with(b"\"")) else { continue };
        let mut quoted = vec![b'"'];
        for octet in text.iter() {
            quoted.extend([b'\\', *octet]);
        }
        quoted.push(b'"');
        assert_eq!(unquote(&quoted).as_deref(), Some(&text[..]), "quoted again");
        assert_eq!(Members::of(&quoted).collect::<Vec<_>>(), [&quoted[..]], "one member");
    }
}

pub fn members_seeds() -> Vec<Vec<u8>> {
    [" a ,\tb,, c", "a=\"x,y\", b", "\"a\\\",b\", c;d=\"e", ",,\"\",x"].map(|text| seed(&[], text)).to_vec()
}
