//! The field lines of one message: order and case as received, one allocation for their text.
//!
//! Invariant: every line's ranges lie within `bytes`; names are tokens and values hold no CR, LF
//! or NUL (whoever builds a `Fields` has checked that: the parser, or [`FieldsBuilder::push`]).
//! What a value means is not known here (RFC 9110 §5).

use bytes::Bytes;

use super::grammar::Members;
use super::{FieldName, NeverIndexed};

/// Field lines in order.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    bytes: Bytes,
    lines: Vec<Line>,
    never_indexed: NeverIndexed,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    id: FieldName,
    name_len: u32,
    name_at: u32,
    value_at: u32,
    value_len: u32,
}

/// One field line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The identity of the name, for comparisons.
    pub id: FieldName,
    /// The name in the sender's spelling.
    pub name: &'a [u8],
    /// The value without surrounding whitespace.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// Whether the line has this name, listed or not.
    pub fn is_named(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

impl Fields {
    /// Lines whose ranges point into `bytes`: what the parser hands over.
    pub(super) fn with_capacity(bytes: Bytes, lines: usize) -> Fields {
        Fields { bytes, lines: Vec::with_capacity(lines), never_indexed: NeverIndexed::default() }
    }

    /// Adds the line whose name and value stand at these places in the bytes.
    pub(super) fn push_range(&mut self, name: std::ops::Range<usize>, value: std::ops::Range<usize>) {
        let id = FieldName::of(self.bytes.get(name.clone()).unwrap_or_default());
        // A head is far smaller than 4 GiB whatever is configured: the casts lose nothing.
        self.lines.push(Line {
            id,
            name_len: name.len() as u32,
            name_at: name.start as u32,
            value_at: value.start as u32,
            value_len: value.len() as u32,
        });
    }

    /// Which of the lines came over HTTP/2 as such that no table may hold.
    pub fn never_indexed(&self) -> &NeverIndexed {
        &self.never_indexed
    }

    /// Remembers which of the lines no table may hold.
    pub fn mark_never_indexed(&mut self, names: NeverIndexed) {
        self.never_indexed = names;
    }

    /// A builder to add lines to.
    pub fn builder() -> FieldsBuilder {
        FieldsBuilder::default()
    }

    /// The lines in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        self.lines.iter().map(|line| self.field(line))
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The value of the first line with this name.
    pub fn first(&self, id: FieldName) -> Option<&[u8]> {
        self.lines.iter().find(|line| line.id == id).map(|line| self.field(line).value)
    }

    /// The value of the only line with this name: `None` too when there are several, because
    /// which of them counts would be a guess.
    pub fn only(&self, id: FieldName) -> Option<&[u8]> {
        let mut values = self.all(id);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// The values of all lines with this name, in order.
    pub fn all(&self, id: FieldName) -> impl Iterator<Item = &[u8]> + Clone {
        self.lines.iter().filter(move |line| line.id == id).map(|line| self.field(line).value)
    }

    /// The values of all lines with this name, which need not be a listed one.
    pub fn all_named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.iter().filter(move |field| field.is_named(name)).map(|field| field.value)
    }

    /// Whether a line with this name is there.
    pub fn contains(&self, id: FieldName) -> bool {
        self.lines.iter().any(|line| line.id == id)
    }

    /// The members of a list-based field, over all its lines (RFC 9110 §5.6.1): commas inside
    /// quoted strings do not split, empty members are left out.
    pub fn members(&self, id: FieldName) -> impl Iterator<Item = &[u8]> + Clone {
        self.all(id).flat_map(Members::of)
    }

    /// These lines without those that `drop` picks, as an exact-sized copy.
    pub fn without(&self, mut drop: impl FnMut(&Field<'_>) -> bool) -> FieldsBuilder {
        let mut kept =
            FieldsBuilder { never_indexed: self.never_indexed.clone(), ..FieldsBuilder::default() };
        for field in self.iter().filter(|field| !drop(field)) {
            kept.push(field.name, field.value);
        }
        kept
    }

    /// Bytes of memory that the lines hold, for accounting.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.lines.capacity() * size_of::<Line>() + self.never_indexed.memory_bytes()
    }

    fn field(&self, line: &Line) -> Field<'_> {
        let part = |at: u32, len: usize| self.bytes.get(at as usize..at as usize + len).unwrap_or_default();
        Field {
            id: line.id,
            name: part(line.name_at, line.name_len as usize),
            value: part(line.value_at, line.value_len as usize),
        }
    }
}

/// Field lines that are being put together.
#[derive(Clone, Debug, Default)]
pub struct FieldsBuilder {
    bytes: Vec<u8>,
    lines: Vec<Line>,
    never_indexed: NeverIndexed,
}

impl FieldsBuilder {
    /// Adds a line at the end. A CR, LF or NUL in the value becomes a space, so that no caller
    /// can split a message by accident; a name with anything but token characters is left out.
    pub fn push(&mut self, name: &[u8], value: &[u8]) -> &mut FieldsBuilder {
        if !super::grammar::is_token(name) {
            return self;
        }
        let name_at = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let value_at = self.bytes.len();
        self.bytes.extend(value.iter().map(|&byte| match byte {
            b'\r' | b'\n' | 0 => b' ',
            byte => byte,
        }));
        self.lines.push(Line {
            id: FieldName::of(name),
            name_len: name.len() as u32,
            name_at: name_at as u32,
            value_at: value_at as u32,
            value_len: value.len() as u32,
        });
        self
    }

    /// Adds a line with a listed name.
    pub fn add(&mut self, id: FieldName, value: impl AsRef<[u8]>) -> &mut FieldsBuilder {
        self.push(id.as_str().as_bytes(), value.as_ref())
    }

    /// The lines, without spare capacity.
    pub fn build(&mut self) -> Fields {
        let mut lines = std::mem::take(&mut self.lines);
        lines.shrink_to_fit();
        let bytes = Bytes::from(std::mem::take(&mut self.bytes).into_boxed_slice());
        Fields { bytes, lines, never_indexed: std::mem::take(&mut self.never_indexed) }
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(lines: I) -> Fields {
        let mut builder = Fields::builder();
        for (name, value) in lines {
            builder.push(name.as_ref(), value.as_ref());
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        [("Via", "1.1 a"), ("X-Other", "1"), ("via", "1.1 b, 1.0 c"), ("Host", "a.example")]
            .into_iter()
            .collect()
    }

    #[test]
    fn order_and_case_are_kept() {
        let fields = fields();
        let names: Vec<_> = fields.iter().map(|f| f.name.to_vec()).collect();
        assert_eq!(names, [b"Via".to_vec(), b"X-Other".to_vec(), b"via".to_vec(), b"Host".to_vec()]);
    }

    #[test]
    fn lookups_see_every_line_of_a_name() {
        let fields = fields();
        assert_eq!(fields.first(FieldName::Via), Some(&b"1.1 a"[..]));
        assert_eq!(fields.only(FieldName::Via), None);
        assert_eq!(fields.only(FieldName::Host), Some(&b"a.example"[..]));
        let members: Vec<_> = fields.members(FieldName::Via).collect();
        assert_eq!(members, [&b"1.1 a"[..], b"1.1 b", b"1.0 c"]);
        assert_eq!(fields.all_named(b"x-OTHER").count(), 1);
    }

    #[test]
    fn a_builder_can_not_split_a_message() {
        let mut builder = Fields::builder();
        builder.push(b"X", b"a\r\nEvil: 1").push(b"bad name", b"1").push(b"", b"1");
        let fields = builder.build();
        assert_eq!(fields.len(), 1);
        assert_eq!(fields.all_named(b"x").next(), Some(&b"a  Evil: 1"[..]));
    }
}
