use std::io::{self, Read};

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// How the body of an answer is compressed (RFC 9110 section 8.4.1; zstd: RFC 8878).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Zstd,
}

/// Why a body can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodingError {
    /// More comes out of it than is allowed.
    #[error("too long")]
    TooLong,
    #[error("{0}")]
    Damaged(#[from] io::Error),
}

impl Coding {
    /// The value of `Accept-Encoding`.
    pub(super) const ACCEPTED: &str = "zstd, gzip";

    /// `Err` is a sentence.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, String> {
        match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase()).as_deref() {
            None | Some(b"identity") => Ok(Self::Identity),
            Some(b"gzip") => Ok(Self::Gzip),
            Some(b"zstd") => Ok(Self::Zstd),
            Some(other) => {
                let other = String::from_utf8_lossy(other);
                Err(format!("it is compressed by {other}, and {} were asked for", Self::ACCEPTED))
            }
        }
    }

    /// What is in `bytes`, of which `limit` is the most.
    pub(super) fn decode(self, bytes: Bytes, limit: usize) -> Result<Bytes, CodingError> {
        match self {
            Self::Identity => Ok(bytes),
            Self::Gzip => read(flate2::read::GzDecoder::new(&bytes[..]), limit),
            Self::Zstd => read(zstd::Decoder::with_buffer(&bytes[..])?, limit),
        }
    }
}

fn read(from: impl Read, limit: usize) -> Result<Bytes, CodingError> {
    let mut decoded = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    from.take(most).read_to_end(&mut decoded)?;
    if decoded.len() > limit { Err(CodingError::TooLong) } else { Ok(decoded.into()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_comes_out_is_bounded_and_damage_is_told() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&[0; 10_000]).unwrap();
        let gzip = Bytes::from(encoder.finish().unwrap());
        let zstd = Bytes::from(zstd::bulk::compress(&[0; 10_000], 1).unwrap());
        for (coding, bytes) in [(Coding::Gzip, gzip), (Coding::Zstd, zstd)] {
            assert_eq!(coding.decode(bytes.clone(), 10_000).unwrap(), vec![0; 10_000]);
            assert!(matches!(coding.decode(bytes.clone(), 9_999), Err(CodingError::TooLong)));
            let cut = bytes.slice(..bytes.len() - 1);
            assert!(matches!(coding.decode(cut, 10_000), Err(CodingError::Damaged(_))));
        }
    }

    #[test]
    fn another_coding_is_refused_by_name() {
        let of =
            |value: &str| Coding::of(&HeaderMap::from_iter([(CONTENT_ENCODING, value.parse().unwrap())]));
        assert_eq!(
            (of("GZIP"), of("zstd"), of("identity")),
            (Ok(Coding::Gzip), Ok(Coding::Zstd), Ok(Coding::Identity))
        );
        assert!(of("br").unwrap_err().contains("compressed by br"));
    }
}
