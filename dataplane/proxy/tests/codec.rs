//! Properties of the codec: it never panics, and how the bytes are cut makes no difference.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "what fails here fails the test")]

use dataplane_proxy::Limits;
use dataplane_proxy::http1::chunked::{self, Decoder, Event};
use dataplane_proxy::http1::head::{self, Head, HeadError};
use dataplane_proxy::http1::response_head::{self, ResponseError, ResponseHead};
use proptest::prelude::*;

/// Text made of what heads are made of, so that many of the cases are nearly good.
fn nearly_a_head() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 2 => Just(" "), 1 => Just("\t"), 1 => Just(":"),
        3 => Just("GET / HTTP/1.1\r\n"), 1 => Just("GET /a?b HTTP/1.0\r\n"), 1 => Just("POST http://a/ HTTP/1.1\r\n"),
        4 => Just("Host: a\r\n"), 2 => Just("Content-Length: 3\r\n"), 2 => Just("Transfer-Encoding: chunked\r\n"),
        1 => Just("Connection: close, upgrade\r\n"), 1 => Just("Upgrade: x\r\n"), 2 => Just("X-A: b\r\n"), 1 => Just("x"),
        1 => Just("\0"), 1 => Just("é"),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

fn nearly_a_response() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just(" "), 1 => Just(":"), 1 => Just("x"), 1 => Just("\0"),
        2 => Just("Content-Length: 3\r\n"), 2 => Just("Transfer-Encoding: chunked\r\n"), 2 => Just("X-A: b\r\n"),
        1 => Just("Connection: close, x-a\r\n"), 1 => Just("HTTP/1.1 200 OK\r\n"),
    ];
    let line = prop_oneof![4 => Just("HTTP/1.1 200 OK\r\n"), 1 => Just("HTTP/1.0 304 X\r\n"), 1 => Just("HTTP/1.1 9")];
    (line, proptest::collection::vec(piece, 0..8))
        .prop_map(|(line, pieces)| (line.to_owned() + &pieces.concat()).into_bytes())
}

fn nearly_chunks() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => Just("\r\n"), 1 => Just("\n"), 3 => Just("3\r\nabc\r\n"), 2 => Just("0\r\n"), 1 => Just("a;x=y"), 1 => Just("F"),
        1 => Just("X-T: 1\r\n"), 1 => Just("abc"), 1 => Just(" "), 1 => Just("ffffffffffffffff"), 1 => Just("\0"),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

/// As a connection does it: the end is looked for in what is new.
fn parse_in_pieces(bytes: &[u8], cuts: &[usize], limits: &Limits) -> Result<Option<Head>, HeadError> {
    let mut from = 0;
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    for end in ends {
        let here = &bytes[..end];
        if let Some(head_end) = head::find_end(here, from, limits)? {
            return head::parse_complete(here, head_end, limits).map(Some);
        }
        from = here.len();
    }
    Ok(None)
}

fn parse_response_in_pieces(
    bytes: &[u8],
    cuts: &[usize],
    limits: &Limits,
) -> Result<Option<ResponseHead>, ResponseError> {
    let mut from = 0;
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    for end in ends {
        let here = &bytes[..end];
        if let Some(head_end) = response_head::find_end(here, from, limits)? {
            return response_head::parse_complete(here, head_end, limits).map(Some);
        }
        from = here.len();
    }
    Ok(None)
}

type Decoded = Result<(Vec<u8>, Option<Vec<u8>>, usize), chunked::ChunkError>;

/// The body, the trailer section once the end was reached, and how much of the input was used.
fn decode(bytes: &[u8], cuts: &[usize], limits: &Limits) -> Decoded {
    let mut decoder = Decoder::new(limits);
    let (mut start, mut data) = (0, Vec::new());
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    for end in ends {
        loop {
            if start > end {
                break;
            }
            let (consumed, event) = decoder.decode(&bytes[start..end])?;
            start += consumed;
            match event {
                Event::NeedMore => break,
                Event::Data(len) => {
                    data.extend_from_slice(&bytes[start..start + len]);
                    start += len;
                }
                Event::End { trailers } => {
                    let section = bytes[start..start + trailers].to_vec();
                    chunked::trailers(&section)?;
                    return Ok((data, Some(section), start + trailers));
                }
            }
        }
    }
    Ok((data, None, start))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_as_head(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = head::parse(&bytes, &Limits::default());
    }

    #[test]
    fn a_head_is_the_same_in_pieces(bytes in nearly_a_head(), cuts in proptest::collection::vec(any::<usize>(), 0..6)) {
        let limits = Limits { head_bytes: 90, request_line_bytes: 30, headers: 4, ..Limits::default() };
        let whole = head::parse(&bytes, &limits);
        let pieces = parse_in_pieces(&bytes, &cuts, &limits);
        // What is wrong may be seen sooner in pieces, or as another mistake; what is right never is.
        match (&whole, &pieces) {
            (Err(_), Err(_)) => {}
            _ => prop_assert_eq!(whole, pieces),
        }
    }

    #[test]
    fn a_good_head_has_one_border_and_one_length(bytes in nearly_a_head()) {
        if let Ok(Some(head)) = head::parse(&bytes, &Limits::default()) {
            let text = &bytes[..head.len];
            prop_assert!(text.ends_with(b"\r\n\r\n"));
            prop_assert!(!text.contains(&0));
            let count = |name: &[u8]| head.fields.iter().filter(|field| field.name.of(text).eq_ignore_ascii_case(name)).count();
            prop_assert!(count(b"host") <= 1);
            prop_assert!(count(b"content-length") + count(b"transfer-encoding") <= 1);
        }
    }

    #[test]
    fn any_bytes_as_response(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = response_head::parse(&bytes, &Limits::default());
        let _ = response_head::parse(&[b"HTTP/1.1 200 ", &*bytes].concat(), &Limits::default());
    }

    #[test]
    fn a_response_head_is_the_same_in_pieces(bytes in nearly_a_response(), cuts in proptest::collection::vec(any::<usize>(), 0..6)) {
        let limits = Limits { head_bytes: 90, headers: 3, ..Limits::default() };
        let whole = response_head::parse(&bytes, &limits);
        let pieces = parse_response_in_pieces(&bytes, &cuts, &limits);
        match (&whole, &pieces) {
            (Err(_), Err(_)) => {}
            _ => prop_assert_eq!(whole, pieces),
        }
    }

    #[test]
    fn a_good_response_head_has_one_border_and_one_length(bytes in nearly_a_response()) {
        if let Ok(Some(head)) = response_head::parse(&bytes, &Limits::default()) {
            let text = &bytes[..head.len];
            prop_assert!(text.ends_with(b"\r\n\r\n") && !text.contains(&0));
            let count = |name: &[u8]| head.fields.iter().filter(|field| field.name.of(text).eq_ignore_ascii_case(name)).count();
            prop_assert!(count(b"content-length") + count(b"transfer-encoding") <= 1);
        }
    }

    #[test]
    fn any_bytes_as_chunks(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes, &[], &Limits::default());
    }

    #[test]
    fn chunks_are_the_same_in_pieces(bytes in nearly_chunks(), cuts in proptest::collection::vec(any::<usize>(), 0..6)) {
        let limits = Limits { chunk_extension_bytes: 8, trailer_bytes: 20, ..Limits::default() };
        let whole = decode(&bytes, &[], &limits);
        let pieces = decode(&bytes, &cuts, &limits);
        match (&whole, &pieces) {
            (Err(_), Err(_)) => {}
            _ => prop_assert_eq!(whole, pieces),
        }
    }

    #[test]
    fn checking_ahead_finds_what_decoding_finds(bytes in nearly_chunks()) {
        let limits = Limits::default();
        prop_assert_eq!(Decoder::new(&limits).check(&bytes).err(), decode(&bytes, &[], &limits).err());
    }

    #[test]
    fn chunks_round_trip(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..8),
                         cuts in proptest::collection::vec(any::<usize>(), 0..6), rest in "[a-z\r\n]{0,9}") {
        let mut bytes = Vec::new();
        for piece in &pieces {
            bytes.extend(format!("{:x};q=1\r\n", piece.len()).into_bytes());
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        let len = bytes.len();
        bytes.extend_from_slice(rest.as_bytes());
        let (data, trailers, used) = decode(&bytes, &cuts, &Limits::default()).unwrap();
        prop_assert_eq!((data, trailers, used), (pieces.concat(), Some(Vec::new()), len));
    }
}
