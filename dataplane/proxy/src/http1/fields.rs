use std::ops::Range;

use super::characters;

/// A part of a message, as offsets, so that a parsed head doesn't borrow its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// `None` beyond 4 GiB, which no limit allows.
    pub(super) fn new(range: Range<usize>) -> Option<Self> {
        Some(Self { start: u32::try_from(range.start).ok()?, end: u32::try_from(range.end).ok()? })
    }

    pub const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The bytes of this span; empty when `bytes` isn't the message that was parsed.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.range()).unwrap_or_default()
    }

    /// As [`Span::of`], for parts that the parser accepts in ASCII only.
    pub fn text(self, bytes: &[u8]) -> &str {
        std::str::from_utf8(self.of(bytes)).unwrap_or_default()
    }

    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// One field line. The value is without the blanks around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Field {
    pub name: Span,
    pub value: Span,
}

/// What is wrong with a field line (RFC 9112 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    #[error("a header line begins with a blank, which is obsolete line folding")]
    Folded,
    #[error("a header line has no colon")]
    NoColon,
    #[error("a header name is empty, has characters that are no token, or a blank before its colon")]
    Name,
    #[error("a header value has a control character")]
    Value,
}

/// Reads `line`, which is without its CRLF and begins at `at` of the message.
pub(super) fn parse_line(line: &[u8], at: usize) -> Result<Field, FieldError> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(FieldError::Folded);
    }
    let colon = memchr::memchr(b':', line).ok_or(FieldError::NoColon)?;
    let (name, rest) = line.split_at_checked(colon).ok_or(FieldError::NoColon)?;
    if !characters::is_token(name) {
        return Err(FieldError::Name);
    }
    let value = rest.get(1..).unwrap_or_default();
    if !characters::is_field_value(value) {
        return Err(FieldError::Value);
    }
    let front = value.iter().take_while(|byte| is_blank(**byte)).count();
    let inner = value.trim_ascii();
    let start = if inner.is_empty() { at + colon + 1 } else { at + colon + 1 + front };
    let name = Span::new(at..at + colon).ok_or(FieldError::Name)?;
    let value = Span::new(start..start + inner.len()).ok_or(FieldError::Value)?;
    Ok(Field { name, value })
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The elements of a comma-separated list without blanks and without empty ones (RFC 9110 section 5.6.1).
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// The values of the fields with this name.
pub(crate) fn values<'a>(fields: &'a [Field], bytes: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(move |field| field.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()))
        .map(|field| field.value.of(bytes))
}

/// `name` is an option of a `Connection` field, so that it is for this hop only (RFC 9110 section 7.6.1).
pub(crate) fn is_nominated(fields: &[Field], bytes: &[u8], name: &[u8]) -> bool {
    values(fields, bytes, "connection").flat_map(list).any(|option| option.eq_ignore_ascii_case(name))
}

/// The lines of a section that ends with an empty line, with the offset of each. `section` has only CRLF line ends.
pub(super) fn lines(section: &[u8], at: usize) -> impl Iterator<Item = (usize, &[u8])> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', section).filter_map(move |newline| {
        let line = section.get(start..newline.saturating_sub(1))?;
        let offset = at + start;
        start = newline + 1;
        Some((offset, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<(&str, &str), FieldError> {
        parse_line(text.as_bytes(), 0)
            .map(|field| (field.name.text(text.as_bytes()), field.value.text(text.as_bytes())))
    }

    #[test]
    fn trims_blanks_around_the_value_only() {
        assert_eq!(line("a:b"), Ok(("a", "b")));
        assert_eq!(line("A-b: \t b c \t"), Ok(("A-b", "b c")));
        assert_eq!(line("a:"), Ok(("a", "")));
        assert_eq!(line("a:  "), Ok(("a", "")));
        assert_eq!(line("a: b:c"), Ok(("a", "b:c")));
    }

    #[test]
    fn refuses_bad_lines() {
        assert_eq!(line(" a: b"), Err(FieldError::Folded));
        assert_eq!(line("\ta: b"), Err(FieldError::Folded));
        assert_eq!(line("a"), Err(FieldError::NoColon));
        assert_eq!(line(": b"), Err(FieldError::Name));
        assert_eq!(line("a : b"), Err(FieldError::Name));
        assert_eq!(line("a(b: c"), Err(FieldError::Name));
        assert_eq!(line("a: b\0c"), Err(FieldError::Value));
        assert_eq!(line("a: b\rc"), Err(FieldError::Value));
        assert_eq!(line("a: b\x7f"), Err(FieldError::Value));
    }

    #[test]
    fn a_list_has_no_empty_elements() {
        let elements: Vec<_> = list(b" close ,,\tx-a,").collect();
        assert_eq!(elements, [&b"close"[..], b"x-a"]);
    }
}
