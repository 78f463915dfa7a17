use std::io::Write as _;

use axum::http::{HeaderMap, header};
use bytes::Bytes;

/// Bytes below which compressing gains nothing that a packet would notice.
const WORTH_IT: usize = 1024;

/// How bodies are compressed (RFC 9110 section 8.4.1; zstd: RFC 8878).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Zstd,
}

/// How much work compressing is worth, from 1 (fastest) to 9; nothing: it isn't done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression(Option<u8>);

impl Compression {
    /// Otoroshi's `compression`: −1 is none, 0 to 9 a level. `None` for other numbers.
    pub fn from_level(level: i8) -> Option<Self> {
        match level {
            -1 => Some(Self(None)),
            0..=9 => Some(Self(u8::try_from(level.max(1)).ok())),
            _ => None,
        }
    }

    /// The best of what a client takes.
    pub(super) fn choose(self, headers: &HeaderMap) -> Coding {
        let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let taken: Vec<_> = values.flat_map(|value| value.split(',')).filter_map(accepted).collect();
        match self.0 {
            Some(_) if taken.contains(&"zstd") => Coding::Zstd,
            Some(_) if taken.contains(&"gzip") => Coding::Gzip,
            _ => Coding::Identity,
        }
    }

    /// `bytes`, and how they are coded: as asked, unless they are few.
    pub(super) fn apply(self, coding: Coding, bytes: Bytes) -> Coded {
        let level = u32::from(self.0.unwrap_or(1));
        let plain = Coded { coding: Coding::Identity, bytes: bytes.clone() };
        let compressed = match coding {
            _ if bytes.len() < WORTH_IT => return plain,
            Coding::Identity => return plain,
            Coding::Zstd => zstd::bulk::compress(&bytes, i32::try_from(level).unwrap_or(1)),
            Coding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
                encoder.write_all(&bytes).and_then(|()| encoder.finish())
            }
        };
        compressed.map_or(plain, |bytes| Coded { coding, bytes: bytes.into() })
    }
}

impl Default for Compression {
    /// Level 4, as on Otoroshi's page.
    fn default() -> Self {
        Self(Some(4))
    }
}

#[derive(Clone, Debug)]
pub(super) struct Coded {
    pub(super) coding: Coding,
    pub(super) bytes: Bytes,
}

impl Coding {
    /// The value of `Content-Encoding`, if there is to be one.
    pub(super) const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// The name of a coding that isn't refused by `q=0` (RFC 9110 section 12.5.3).
fn accepted(value: &str) -> Option<&str> {
    let (name, weight) = value.split_once(';').unwrap_or((value, ""));
    let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse::<f32>() == Ok(0.0));
    (!refused).then_some(name.trim())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn chosen(compression: Compression, value: &str) -> Coding {
        compression.choose(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]))
    }

    #[test]
    fn the_best_of_what_is_taken() {
        for (value, coding) in [
            ("zstd, gzip", Coding::Zstd),
            ("gzip;q=1.0, zstd;q=0", Coding::Gzip),
            ("gzip, zstd;q=0.1", Coding::Zstd),
            ("br", Coding::Identity),
            ("", Coding::Identity),
        ] {
            assert_eq!(chosen(Compression::default(), value), coding, "{value}");
        }
        assert_eq!(chosen(Compression::from_level(-1).unwrap(), "zstd"), Coding::Identity);
    }

    #[test]
    fn levels_are_those_of_otoroshi() {
        assert_eq!(Compression::from_level(10), None);
        assert_eq!(Compression::from_level(-2), None);
        assert_eq!(Compression::from_level(0), Compression::from_level(1));
    }

    #[test]
    fn what_is_compressed_can_be_read_again() {
        let bytes = Bytes::from(b"the same again ".repeat(500));
        let of = |coding| Compression::default().apply(coding, bytes.clone());
        let (zstd, gzip) = (of(Coding::Zstd), of(Coding::Gzip));
        assert!(zstd.bytes.len() < 200 && gzip.bytes.len() < 200);
        assert_eq!(zstd::decode_all(&zstd.bytes[..]).unwrap(), bytes);
        let mut read = Vec::new();
        flate2::read::GzDecoder::new(&gzip.bytes[..]).read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes);
        let few = Compression::default().apply(Coding::Zstd, bytes.slice(..1023));
        assert_eq!((few.coding, few.bytes), (Coding::Identity, bytes.slice(..1023)));
    }
}
