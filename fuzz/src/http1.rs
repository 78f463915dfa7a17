use dataplane_proxy::Limits;
use dataplane_proxy::http1::chunked::{ChunkError, Decoder, Event, trailers};
use dataplane_proxy::http1::head::{HeadError, parse};
use dataplane_proxy::http1::response_head::{self, ResponseError};

/// A head is read alike whole and in two pieces, and what follows it is never part of it.
pub fn head(bytes: &[u8]) {
    let limits = Limits::default();
    let whole = parse(bytes, &limits);
    let at = bytes.len() / 2;
    match parse(bytes.get(..at).unwrap_or_default(), &limits) {
        // Half of it was enough: all of it must say the same.
        Ok(Some(half)) => assert!(whole == Ok(Some(half)), "more bytes changed a complete head"),
        Ok(None) => {}
        Err(HeadError::TooLarge | HeadError::LongLine) => {}
        Err(error) => assert!(whole.is_err(), "more bytes mended a head that was {error:?}"),
    }
}

/// The same for the head of a response; and a response to HEAD has no body, whatever it says.
pub fn response_head(bytes: &[u8]) {
    let limits = Limits::default();
    let whole = response_head::parse(bytes, &limits);
    let at = bytes.len() / 2;
    match response_head::parse(bytes.get(..at).unwrap_or_default(), &limits) {
        Ok(Some(half)) => assert!(whole == Ok(Some(half)), "more bytes changed a complete head"),
        Ok(None) | Err(ResponseError::TooLarge) => {}
        Err(error) => assert!(whole.is_err(), "more bytes mended a head that was {error:?}"),
    }
    if let Ok(Some(head)) = whole {
        assert!(head.len <= bytes.len() && (100..=999).contains(&head.status), "{head:?}");
        assert!(head.body(true) == response_head::ResponseLength::None, "a body after HEAD");
    }
}

/// Chunks give the same data and the same end in whatever pieces they arrive.
pub fn chunks(bytes: &[u8]) {
    let whole = decode(bytes, bytes.len().max(1));
    let pieces = decode(bytes, 1 + bytes.len() % 7);
    match (&whole, &pieces) {
        (Ok(whole), Ok(pieces)) => assert!(whole == pieces, "pieces changed the data: {whole:?} {pieces:?}"),
        (Err(_), Err(_)) => {}
        _ => panic!("pieces changed the verdict: {whole:?} {pieces:?}"),
    }
}

/// The body, and whether it ended.
fn decode(bytes: &[u8], step: usize) -> Result<(Vec<u8>, bool), ChunkError> {
    let limits = Limits::default();
    let mut decoder = Decoder::new(&limits);
    let (mut body, mut taken, mut arrived) = (Vec::new(), 0, 0);
    loop {
        let input = bytes.get(taken..arrived).unwrap_or_default();
        let (consumed, event) = decoder.decode(input)?;
        assert!(consumed <= input.len(), "more was consumed than there is");
        taken += consumed;
        match event {
            Event::Data(count) => {
                body.extend_from_slice(bytes.get(taken..taken + count).unwrap_or_default());
                taken += count;
            }
            Event::End { trailers: length } => {
                trailers(bytes.get(taken..taken + length).unwrap_or_default())?;
                return Ok((body, true));
            }
            Event::NeedMore if arrived == bytes.len() => return Ok((body, false)),
            Event::NeedMore => arrived = (arrived + step).min(bytes.len()),
        }
    }
}
