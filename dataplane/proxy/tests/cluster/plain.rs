//! Plain polling, where something between worker and leader cuts polls that are held.

use std::net::SocketAddr;
use std::time::Duration;

use dataplane_proxy::worker::{LeaderContact, WorkerSettings};
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::leader::Leader;
use super::samples::snapshot;
use super::worker::{Worker, settings};

/// How long the intermediary lets a request be idle. Polls are held for a second.
const PATIENCE: Duration = Duration::from_millis(200);

/// What an intermediary says when it has waited for long enough.
const GATEWAY_TIMEOUT: &[u8] = b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n";
/// The same of one that doesn't tell it from a server that is down.
const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// Forwards connections to `leader`, and ends each with `last_words` after [`PATIENCE`].
async fn intermediary(leader: SocketAddr, last_words: &'static [u8]) -> WorkerSettings {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut server = TcpStream::connect(leader).await.unwrap();
                if timeout(PATIENCE, copy_bidirectional(&mut client, &mut server)).await.is_err() {
                    let _ = client.write_all(last_words).await;
                }
            });
        }
    });
    settings(vec![url.parse().unwrap()])
}

async fn is_noticed(last_words: &'static [u8]) {
    let leader = Leader::start().await;
    leader.publish(&snapshot(1, "one"));
    let mut worker = Worker::start(intermediary(leader.address, last_words).await);
    worker.until(|health| health.plain_polling).await;
    assert_eq!(leader.cluster.stats().held, 0, "nothing is held any more");
    let failures =
        worker.until(|health| matches!(health.leader, LeaderContact::Following(_))).await.poll_failures;
    for (revision, text) in [(2, "two"), (3, "three")] {
        leader.publish(&snapshot(revision, text));
        worker.until_serving(&[text]).await;
    }
    let health = worker.until(|health| health.plain_polling).await;
    assert_eq!(health.poll_failures, failures, "polls that aren't held pass");
}

#[tokio::test]
async fn polls_that_are_closed_on_the_way_are_not_held_any_more() {
    is_noticed(b"").await;
}

#[tokio::test]
async fn polls_that_a_gateway_gives_up_are_not_held_any_more() {
    is_noticed(GATEWAY_TIMEOUT).await;
    is_noticed(UNAVAILABLE).await;
}

#[tokio::test]
async fn by_the_settings_no_poll_is_held() {
    let leader = Leader::start().await;
    leader.publish(&snapshot(1, "one"));
    let mut plain = intermediary(leader.address, GATEWAY_TIMEOUT).await;
    plain.plain = true;
    let mut worker = Worker::start(plain);
    worker.until_serving(&["one"]).await;
    leader.publish(&snapshot(2, "two"));
    worker.until_serving(&["two"]).await;
    let health = worker.until(|health| health.plain_polling).await;
    assert_eq!(health.poll_failures, 0);
}
