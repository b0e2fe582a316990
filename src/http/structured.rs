//! Structured fields (RFC 9651 §4.2): dictionaries and lists, parsed strictly.
//!
//! Total and iterative: any octets have an answer, and there are limits on members. `None` is a
//! failure of the whole field, which "MUST be ignored" then. Parameters are checked and dropped,
//! and values of types that Larder acts on nowhere are checked and not kept.

/// An item without its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BareItem {
    Integer(i64),
    Boolean(bool),
    String(Vec<u8>),
    Token(Vec<u8>),
    /// A Decimal, a Byte Sequence, a Date or a Display String.
    Other,
}

/// A member of a list or a dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberValue {
    Item(BareItem),
    InnerList(Vec<BareItem>),
}

/// §3.1, §3.2: parsers must take 1,024 members, §3.1.1: inner lists 256 items.
const MEMBERS_MAX: usize = 1024;

/// The members of a Dictionary over all lines of its field, each key once: the last value counts.
pub fn dictionary<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Vec<(Vec<u8>, MemberValue)>> {
    let text = joined(lines);
    let mut parser = Parser { rest: &text };
    let mut members: Vec<(Vec<u8>, MemberValue)> = Vec::new();
    parser.members(|parser| {
        let key = parser.key()?;
        let value = if parser.take(b'=') { parser.member()? } else { parser.flag()? };
        match members.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => members.push((key, value)),
        }
        Some(())
    })?;
    Some(members)
}

/// The members of a List over all lines of its field.
pub fn list<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Vec<MemberValue>> {
    let text = joined(lines);
    let mut parser = Parser { rest: &text };
    let mut members = Vec::new();
    parser.members(|parser| parser.member().map(|member| members.push(member)))?;
    Some(members)
}

// §4.2: "If input_bytes is a list of field lines, […] combine them with a comma".
fn joined<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    lines.collect::<Vec<_>>().join(&b", "[..])
}

struct Parser<'a> {
    rest: &'a [u8],
}

impl<'a> Parser<'a> {
    /// §4.2.1, §4.2.2: members between commas, with none behind the last one.
    fn members(&mut self, mut member: impl FnMut(&mut Parser<'a>) -> Option<()>) -> Option<()> {
        self.skip(b" ");
        for count in 0.. {
            if self.rest.is_empty() {
                // Only an empty field ends here: behind a comma there is a member.
                return (count == 0).then_some(());
            }
            if count == MEMBERS_MAX {
                return None;
            }
            member(self)?;
            self.skip(b" \t");
            if self.rest.is_empty() {
                return Some(());
            }
            if !self.take(b',') {
                return None;
            }
            self.skip(b" \t");
        }
        None
    }

    fn member(&mut self) -> Option<MemberValue> {
        if self.take(b'(') {
            return self.inner_list().map(MemberValue::InnerList);
        }
        let item = self.bare_item()?;
        self.parameters()?;
        Some(MemberValue::Item(item))
    }

    /// A dictionary's member without a value: true.
    fn flag(&mut self) -> Option<MemberValue> {
        self.parameters()?;
        Some(MemberValue::Item(BareItem::Boolean(true)))
    }

    fn inner_list(&mut self) -> Option<Vec<BareItem>> {
        let mut items = Vec::new();
        loop {
            self.skip(b" ");
            if self.take(b')') {
                self.parameters()?;
                return Some(items);
            }
            if items.len() == MEMBERS_MAX {
                return None;
            }
            items.push(self.bare_item()?);
            self.parameters()?;
            if !matches!(self.rest.first(), Some(b' ' | b')')) {
                return None;
            }
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.skip(b" ");
            self.key()?;
            if self.take(b'=') {
                self.bare_item()?;
            }
        }
        Some(())
    }

    fn key(&mut self) -> Option<Vec<u8>> {
        let first = self.rest.first()?;
        if !first.is_ascii_lowercase() && *first != b'*' {
            return None;
        }
        let is_key = |byte: &u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.' | b'*')
        };
        Some(self.take_while(is_key).to_vec())
    }

    fn bare_item(&mut self) -> Option<BareItem> {
        match self.rest.first()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string().map(BareItem::String),
            b'*' | b'A'..=b'Z' | b'a'..=b'z' => {
                let is_token = |byte: &u8| super::grammar::is_tchar(*byte) || matches!(byte, b':' | b'/');
                Some(BareItem::Token(self.take_while(is_token).to_vec()))
            }
            b':' => self.bytes(),
            b'?' => self.boolean(),
            b'@' => {
                self.take(b'@');
                matches!(self.number()?, BareItem::Integer(_)).then_some(BareItem::Other)
            }
            b'%' => self.display_string(),
            _ => None,
        }
    }

    // §4.2.4: an Integer has at most 15 digits, a Decimal 12 before the point and 1 to 3 behind.
    fn number(&mut self) -> Option<BareItem> {
        let sign = if self.take(b'-') { -1 } else { 1 };
        let whole = self.take_while(u8::is_ascii_digit);
        if whole.is_empty() || whole.len() > 15 {
            return None;
        }
        if self.take(b'.') {
            let fraction = self.take_while(u8::is_ascii_digit).len();
            return (whole.len() <= 12 && (1..=3).contains(&fraction)).then_some(BareItem::Other);
        }
        let number = std::str::from_utf8(whole).ok()?.parse::<i64>().ok()?;
        Some(BareItem::Integer(sign * number))
    }

    fn string(&mut self) -> Option<Vec<u8>> {
        self.take(b'"');
        let mut out = Vec::new();
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return Some(out),
                b'\\' => {
                    let (&escaped, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    if !matches!(escaped, b'"' | b'\\') {
                        return None;
                    }
                    out.push(escaped);
                }
                b' '..=b'~' => out.push(byte),
                _ => return None,
            }
        }
    }

    fn boolean(&mut self) -> Option<BareItem> {
        self.take(b'?');
        let value = match self.rest.first()? {
            b'1' => true,
            b'0' => false,
            _ => return None,
        };
        self.rest = self.rest.get(1..)?;
        Some(BareItem::Boolean(value))
    }

    fn bytes(&mut self) -> Option<BareItem> {
        self.take(b':');
        self.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
        self.take(b':').then_some(BareItem::Other)
    }

    // §4.2.10: lower-case percent encoding of UTF-8 within quotes.
    fn display_string(&mut self) -> Option<BareItem> {
        self.take(b'%');
        if !self.take(b'"') {
            return None;
        }
        let mut decoded = Vec::new();
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return std::str::from_utf8(&decoded).ok().map(|_utf8| BareItem::Other),
                b'%' => {
                    let digits = self.rest.get(..2)?;
                    if !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
                        return None;
                    }
                    decoded.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                    self.rest = self.rest.get(2..)?;
                }
                b' '..=b'~' => decoded.push(byte),
                _ => return None,
            }
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn skip(&mut self, bytes: &[u8]) {
        self.take_while(|byte| bytes.contains(byte));
    }

    fn take_while(&mut self, is_part: impl Fn(&u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !is_part(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &MemberValue) -> String {
        let item = |item: &BareItem| match item {
            BareItem::Integer(number) => number.to_string(),
            BareItem::Boolean(value) => format!("?{}", u8::from(*value)),
            BareItem::String(text) => format!("{:?}", String::from_utf8_lossy(text)),
            BareItem::Token(text) => String::from_utf8_lossy(text).into_owned(),
            BareItem::Other => "other".to_owned(),
        };
        match value {
            MemberValue::Item(value) => item(value),
            MemberValue::InnerList(items) => {
                format!("({})", items.iter().map(item).collect::<Vec<_>>().join(" "))
            }
        }
    }

    #[test]
    fn dictionaries() {
        let cases: &[(&[&str], Option<&str>)] = &[
            (&[], Some("")),
            (&[""], Some("")),
            (&["max-age=60, no-store"], Some("max-age=60,no-store=?1")),
            (&["a=1", "b;x=\"y\";z, a=2"], Some("a=2,b=?1")),
            (&[" a \t,\tb=?0 "], Some("a=?1,b=?0")),
            (&["a=(\"x\"  y;q=1.5 2);p"], Some("a=(\"x\" y 2)")),
            (&["a=()"], Some("a=()")),
            (
                &["a=\"q\\\"\\\\\", b=t:/k, c=:aGk=:, d=-12.5, e=@5, f=%\"%c3%bc\""],
                Some("a=\"q\\\"\\\\\",b=t:/k,c=other,d=other,e=other,f=other"),
            ),
            (&["*k.-_9=1"], Some("*k.-_9=1")),
            (&["a=1,"], None),
            (&["a=1,,b"], None),
            (&["a=1", ""], None),
            (&[",a"], None),
            (&["A=1"], None),
            (&["a =1"], None),
            (&["a= 1"], None),
            (&["a=1 b"], None),
            (&["a=(1"], None),
            (&["a=(1\t2)"], None),
            (&["a=(\"x\"\"y\")"], None),
            (&["a=\"x"], None),
            (&["a=\"\\x\""], None),
            (&["a=\"\u{fc}\""], None),
            (&["a=?2"], None),
            (&["a=1."], None),
            (&["a=-"], None),
            (&["a=1234567890123456"], None),
            (&["a=999999999999999"], Some("a=999999999999999")),
            (&["a=:!:"], None),
            (&["a=%\"%C3\""], None),
            (&["a=%\"%c3\""], None),
            (&["a;"], None),
        ];
        for (lines, expected) in cases {
            let found = dictionary(lines.iter().map(|line| line.as_bytes())).map(|members| {
                let member = |(key, value): &(Vec<u8>, MemberValue)| {
                    format!("{}={}", String::from_utf8_lossy(key), shown(value))
                };
                members.iter().map(member).collect::<Vec<_>>().join(",")
            });
            assert_eq!(found.as_deref(), *expected, "{lines:?}");
        }
    }

    #[test]
    fn lists() {
        let cases: &[(&str, Option<&str>)] = &[
            ("", Some("")),
            ("\"a\", \"b\";x=1", Some("\"a\" \"b\"")),
            ("a, 1,(b c)", Some("a 1 (b c)")),
            ("a b", None),
            ("a,", None),
            ("a=1", None),
        ];
        for (line, expected) in cases {
            let found = list(std::iter::once(line.as_bytes()));
            let found = found.map(|members| members.iter().map(shown).collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), *expected, "{line:?}");
        }
    }

    #[test]
    fn there_is_a_limit_on_members() {
        let many = |count: usize| vec!["a"; count].join(",");
        assert!(list(std::iter::once(many(MEMBERS_MAX).as_bytes())).is_some());
        assert!(list(std::iter::once(many(MEMBERS_MAX + 1).as_bytes())).is_none());
        let inner = |count: usize| format!("({})", vec!["a"; count].join(" "));
        assert!(list(std::iter::once(inner(MEMBERS_MAX).as_bytes())).is_some());
        assert!(list(std::iter::once(inner(MEMBERS_MAX + 1).as_bytes())).is_none());
    }
}
