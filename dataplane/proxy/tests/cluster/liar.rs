//! Servers that aren't good leaders.

use std::time::Duration;

use dataplane_proxy::worker::LeaderContact;
use dataplane_snapshot::{Root, Snapshot, wire};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::leader::Leader;
use super::samples::snapshot;
use super::worker::{Worker, settings};

/// Answers one connection after the other with these bytes, in turn, and closes it.
pub(crate) async fn answering(answers: Vec<Vec<u8>>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        for bytes in answers.iter().cycle() {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(bytes).await;
        }
    });
    (url, task)
}

pub(crate) fn ok(root: Option<Root>, length: usize, body: &[u8]) -> Vec<u8> {
    let etag = root.map(|root| format!("ETag: \"{root}\"\r\n")).unwrap_or_default();
    let head = format!("HTTP/1.1 200 OK\r\n{etag}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn encoded(snapshot: &Snapshot) -> Vec<u8> {
    wire::State::from_snapshot(snapshot).encode_to_vec()
}

/// A worker that serves "good" by an honest leader, which then is replaced by one that gives `answer`.
async fn then_answered(answer: Vec<u8>) -> Worker {
    let honest = Leader::start().await;
    honest.publish(&snapshot(1, "good"));
    let (url, _liar) = answering(vec![answer]).await;
    let mut worker = Worker::start(settings(vec![honest.url(), url.parse().unwrap()]));
    worker.until_serving(&["good"]).await;
    honest.stop().await;
    worker
}

async fn is_refused(answer: Vec<u8>, reason: &str) {
    let mut worker = then_answered(answer).await;
    worker
        .until(|health| {
            let refused = health.refused.as_ref().is_some_and(|(_, why)| why.contains(reason));
            let failing =
                matches!(&health.leader, LeaderContact::Failing { reason: why, .. } if why.contains(reason));
            refused || failing
        })
        .await;
    assert_eq!(worker.serving(), ["good"]);
    assert_eq!(worker.applier.service().swaps(), 1);
}

#[tokio::test]
async fn garbage() {
    is_refused(b"\x16\x03\x01 no HTTP at all\r\n\r\n".to_vec(), "invalid HTTP").await;
}

#[tokio::test]
async fn another_server() {
    is_refused(ok(None, 5, b"hello"), "is it another server?").await;
    is_refused(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(), "404").await;
}

/// Takes connections, gives `beginning` of an answer, and then is silent with the connection open.
async fn falls_silent(beginning: Vec<u8>, reason: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let _silent = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(&beginning).await;
            open.push(stream);
        }
    });
    let honest = Leader::start().await;
    honest.publish(&snapshot(1, "good"));
    let mut settings = settings(vec![honest.url(), url.parse().unwrap()]);
    settings.answer_timeout = Duration::from_millis(200);
    let mut worker = Worker::start(settings);
    worker.until_serving(&["good"]).await;
    honest.stop().await;
    let is_told = |contact: &LeaderContact| matches!(contact, LeaderContact::Failing { reason: why, .. } if why.contains(reason));
    worker.until(|health| is_told(&health.leader)).await;
    assert_eq!(worker.serving(), ["good"]);
}

#[tokio::test]
async fn no_answer_at_all() {
    falls_silent(Vec::new(), "no answer in time").await;
}

#[tokio::test]
async fn an_answer_that_stops_in_the_middle() {
    let body = encoded(&snapshot(2, "new"));
    let (half, _) = body.split_at(body.len() / 2);
    falls_silent(ok(Some(snapshot(2, "new").root()), body.len(), half), "stopped in the middle").await;
}

#[tokio::test]
async fn a_body_that_is_no_state() {
    is_refused(ok(Some(Root([7; 32])), 5, b"\xff\xff\xff\xff\xff"), "not a state message").await;
}

#[tokio::test]
async fn half_a_body() {
    let body = encoded(&snapshot(2, "new"));
    let (half, _) = body.split_at(body.len() / 2);
    is_refused(ok(Some(snapshot(2, "new").root()), body.len(), half), "broke off").await;
}

#[tokio::test]
async fn a_state_with_another_root_than_promised() {
    let body = encoded(&snapshot(2, "new"));
    is_refused(ok(Some(Root([7; 32])), body.len(), &body), "but its head says").await;
}

#[tokio::test]
async fn a_state_with_a_flipped_bit() {
    let state = snapshot(2, "new");
    let mut body = encoded(&state);
    let text = body.windows(3).position(|window| window == b"new").unwrap();
    *body.get_mut(text).unwrap() ^= 1;
    is_refused(ok(Some(state.root()), body.len(), &body), "was promised").await;
}

#[tokio::test]
async fn a_state_of_another_version() {
    let state = snapshot(2, "new");
    let mut newer = wire::State::from_snapshot(&state);
    newer.format_version += 1;
    let body = newer.encode_to_vec();
    is_refused(ok(Some(state.root()), body.len(), &body), "format version 2").await;
}

#[tokio::test]
async fn a_state_that_is_too_long() {
    let root = snapshot(2, "new").root();
    is_refused(ok(Some(root), 1 << 40, b"x"), "more than the").await;
}

#[tokio::test]
async fn an_empty_state() {
    let empty = Snapshot::new([], super::samples::as_of(2));
    let body = encoded(&empty);
    is_refused(ok(Some(empty.root()), body.len(), &body), "it is empty").await;
}
