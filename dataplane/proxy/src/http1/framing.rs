use super::fields;
use super::head::{HeadError, Version};

/// How the end of a request's body is found (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyLength {
    /// No framing field: no body.
    #[default]
    None,
    Length(u64),
    Chunked,
}

impl BodyLength {
    pub const fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }
}

/// The framing fields of a head, gathered line by line.
#[derive(Clone, Copy, Default)]
pub(super) struct Framing {
    length: Option<u64>,
    chunked: bool,
}

impl Framing {
    /// One plain number. A second line, a sign, a list, a leading zero and more than 18 digits are refused, also where RFC
    /// 9110 section 8.6 lets a recipient repair them: two servers that repair differently are a smuggling pair.
    pub(super) fn content_length(&mut self, value: &[u8]) -> Result<(), HeadError> {
        let plain = !value.is_empty()
            && value.len() <= 18
            && value.iter().all(u8::is_ascii_digit)
            && (value.len() == 1 || value.first() != Some(&b'0'));
        if !plain || self.length.is_some() {
            return Err(HeadError::ContentLength);
        }
        let digits = value.iter().map(|digit| u64::from(digit - b'0'));
        self.length = Some(digits.fold(0, |number, digit| number * 10 + digit));
        Ok(())
    }

    /// Exactly `chunked`, once. Other known codings before it are honest, but not supported.
    pub(super) fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if self.chunked {
            return Err(HeadError::TransferEncoding);
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
            return Ok(());
        }
        let known: [&[u8]; 6] = [b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress", b"chunked"];
        let mut codings = fields::list(value).peekable();
        let honest = codings.peek().is_some()
            && codings.all(|coding| known.iter().any(|name| coding.eq_ignore_ascii_case(name)))
            && fields::list(value).filter(|coding| coding.eq_ignore_ascii_case(b"chunked")).count() <= 1;
        Err(if honest { HeadError::TransferCoding } else { HeadError::TransferEncoding })
    }

    pub(super) fn decide(self, version: Version) -> Result<BodyLength, HeadError> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(HeadError::BothLengths),
            (true, None) if version == Version::Http10 => Err(HeadError::TransferEncoding),
            (true, None) => Ok(BodyLength::Chunked),
            (false, Some(length)) => Ok(BodyLength::Length(length)),
            (false, None) => Ok(BodyLength::None),
        }
    }
}
