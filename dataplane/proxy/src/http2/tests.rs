//! Bodies of HTTP/1 into a stream and out of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here fails the test")]

use std::future::poll_fn;

use h2::{Reason, client, server};
use http::Request;
use proptest::prelude::*;
use tokio::io::ReadBuf;

use super::receive::Receive;
use super::send::{Place, Send};
use crate::Limits;
use crate::http1::chunked::{Decoder, Event};
use crate::http1::piece::Coding;

/// Writes `text` in parts of `written` bytes, and answers what was read at the other end in parts of up to `read`.
async fn through(text: &[u8], place: Place, coding: Coding, written: usize, read: usize) -> Vec<u8> {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let (mut requests, connection) = client::handshake(near).await.unwrap();
    let _client = tokio::spawn(connection);
    // Small frames that nobody has read yet are what some of these bodies are made of.
    let handshake = server::Builder::new().data_frame_budget(1 << 30).handshake(far);
    let mut connection: server::Connection<_, bytes::Bytes> = handshake.await.unwrap();
    let request = Request::builder().uri("http://a.test/").body(()).unwrap();
    let (_response, stream) = requests.send_request(request, false).unwrap();
    let (request, _respond) = connection.accept().await.unwrap().unwrap();
    let _server = tokio::spawn(async move { connection.accept().await.is_some() });
    let mut send = Send::new(stream, place, Reason::CANCEL);
    let mut receive = Receive::new(request.into_body(), coding);
    let writing = async {
        for mut part in text.chunks(written) {
            while !part.is_empty() {
                let taken = poll_fn(|cx| send.poll_write(cx, part)).await.unwrap();
                part = &part[taken..];
            }
        }
        assert!(send.is_ended());
    };
    let reading = async {
        let (mut all, mut space) = (Vec::new(), vec![0; read]);
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            poll_fn(|cx| receive.poll_read(cx, &mut buffer)).await.unwrap();
            if buffer.filled().is_empty() {
                return all;
            }
            all.extend_from_slice(buffer.filled());
        }
    };
    tokio::join!(writing, reading).1
}

/// The data and the trailer section of a chunked body, which is all of `text`.
fn decoded(mut text: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut decoder, mut data) = (Decoder::new(&Limits::default()), Vec::new());
    loop {
        let (consumed, event) = decoder.decode(text).unwrap();
        text = &text[consumed..];
        match event {
            Event::Data(len) => {
                data.extend_from_slice(&text[..len]);
                text = &text[len..];
            }
            Event::End { trailers } => {
                assert_eq!(text.len(), trailers);
                return (data, text.to_vec());
            }
            Event::NeedMore => panic!("the body has no end"),
        }
    }
}

fn chunked(body: &[u8], size: usize, trailers: &str) -> Vec<u8> {
    let mut text = Vec::new();
    for chunk in body.chunks(size) {
        text.extend_from_slice(format!("{:x};x=y\r\n", chunk.len()).as_bytes());
        text.extend_from_slice(chunk);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    text
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunked_bodies_arrive_however_they_are_cut(
        body in proptest::collection::vec(any::<u8>(), 0..30_000),
        size in 1_usize..20_000,
        trailers in prop_oneof![Just(""), Just("x-sum: 7\r\nx-two: a b\r\n")],
        written in prop_oneof![1_usize..10, 1_usize..50_000],
        read in prop_oneof![1_usize..10, 1_usize..50_000],
    ) {
        let text = chunked(&body, size, trailers);
        let place = Place::chunked(&Limits::default());
        let arrived = block_on(through(&text, place, Coding::Chunked, written, read));
        let (data, section) = decoded(&arrived);
        prop_assert!(data == body);
        let expected = if trailers.is_empty() { String::new() } else { format!("{trailers}\r\n") };
        prop_assert_eq!(String::from_utf8(section).unwrap(), expected);
    }

    #[test]
    fn bodies_of_known_length_arrive_as_they_are(
        body in proptest::collection::vec(any::<u8>(), 1..30_000),
        written in prop_oneof![1_usize..10, 1_usize..50_000],
        read in prop_oneof![1_usize..10, 1_usize..50_000],
    ) {
        let place = Place::Length(body.len() as u64);
        prop_assert!(block_on(through(&body, place, Coding::Plain, written, read)) == body);
    }
}
