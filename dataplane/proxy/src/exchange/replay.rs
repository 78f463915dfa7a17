use bytes::Bytes;

use crate::http1::framing::BodyLength;
use crate::http1::piece::Piece;

/// What was taken of a request's body, so that it can be sent again.
#[derive(Clone)]
pub(super) struct Replay {
    /// `None`: it isn't kept, or was too much.
    kept: Option<Vec<u8>>,
    /// All that is kept has to be sent before the rest.
    rewound: bool,
}

impl Replay {
    /// Bytes of a body that are kept. Of a larger one nothing is, and the request can be sent once.
    const MOST: usize = 64 * 1024;

    pub(super) const NONE: Self = Self { kept: None, rewound: false };

    /// For a body of this length, as far as it is known.
    pub(super) const fn of(length: BodyLength) -> Self {
        match length {
            BodyLength::Length(length) if length > Self::MOST as u64 => Self::NONE,
            _ => Self { kept: Some(Vec::new()), rewound: false },
        }
    }

    /// Keeps what is about to be sent. A piece of a request is small, and holding on to the buffer that it is in would
    /// hold much more; so it is copied.
    pub(super) fn keep(&mut self, piece: &Piece) {
        let Some(kept) = &mut self.kept else { return };
        match piece {
            Piece::Data(data) if kept.len() + data.len() <= Self::MOST => kept.extend_from_slice(data),
            // Trailers are rare, and a copy of data alone would lose them.
            Piece::Data(_) | Piece::Trailers(..) => self.kept = None,
        }
    }

    /// All that was taken is here.
    pub(super) const fn is_whole(&self) -> bool {
        self.kept.is_some()
    }

    pub(super) fn rewind(&mut self) {
        self.rewound = true;
    }

    /// What has to be sent before the rest of the body.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        if !std::mem::take(&mut self.rewound) {
            return None;
        }
        self.kept.as_ref().filter(|kept| !kept.is_empty()).map(|kept| Bytes::copy_from_slice(kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(len: usize) -> Piece {
        Piece::Data(vec![b'x'; len].into())
    }

    #[test]
    fn comes_back_as_often_as_it_is_rewound() {
        let mut replay = Replay::of(BodyLength::Chunked);
        assert_eq!(replay.next(), None);
        replay.rewind();
        assert_eq!(replay.next(), None, "nothing was taken");
        replay.keep(&data(2));
        replay.keep(&data(3));
        for _ in 0..2 {
            replay.rewind();
            assert_eq!(replay.next().unwrap(), "xxxxx");
            assert_eq!(replay.next(), None);
        }
    }

    #[test]
    fn a_large_body_and_trailers_are_not_kept() {
        let mut replay = Replay::of(BodyLength::Chunked);
        replay.keep(&data(Replay::MOST));
        assert!(replay.is_whole());
        replay.keep(&data(1));
        assert!(!replay.is_whole());
        replay.rewind();
        assert_eq!(replay.next(), None);
        let mut replay = Replay::of(BodyLength::Chunked);
        replay.keep(&Piece::Trailers(Vec::new(), Bytes::new()));
        assert!(!replay.is_whole());
        assert!(!Replay::of(BodyLength::Length(64 * 1024 + 1)).is_whole());
        assert!(Replay::of(BodyLength::Length(64 * 1024)).is_whole());
    }
}
