//! What clients may take of the port, in clear text and inside TLS.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use operator_server::port::{Bounds, TlsListener, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, oneshot, watch};
use tokio::time::timeout;

use super::peers::{Authority, Client};
use super::{PATIENCE, tls};

const SHORT: Duration = Duration::from_millis(100);

/// `/ready`, and `/held`, which is answered once `release` is notified.
struct Held {
    release: Arc<Notify>,
    reached: Arc<Semaphore>,
}

impl Held {
    fn new() -> (Self, Router) {
        let held = Self { release: Arc::default(), reached: Arc::new(Semaphore::new(0)) };
        let (release, reached) = (held.release.clone(), held.reached.clone());
        let wait = move || async move {
            reached.add_permits(1);
            release.notified().await;
            "released"
        };
        (held, Router::new().route("/ready", get(|| async { "ready" })).route("/held", get(wait)))
    }
}

async fn start(router: Router, connections: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router, Bounds { connections, head: SHORT }, pending()));
    address
}

/// Sends this, and gives all that comes until the other side closes.
async fn all_of(address: SocketAddr, sent: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(sent.as_bytes()).await;
    let mut answer = Vec::new();
    // One that is closed with something unread is reset.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it is closed");
    String::from_utf8(answer).unwrap()
}

const READY: &str = "GET /ready HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_head_that_does_not_end_ends_the_connection() {
    let (_held, router) = Held::new();
    let address = start(router, 10).await;
    for sent in ["", "GET /rea", "GET /ready HTTP/1.1\r\nhost: a\r\n"] {
        assert_eq!(all_of(address, sent).await, "", "{sent:?}");
    }
    let one = READY.replace("connection: close\r\n", "");
    assert!(all_of(address, &one).await.ends_with("ready"), "it is closed once nothing more comes");
}

#[tokio::test]
async fn a_head_that_does_not_end_ends_the_connection_inside_tls() {
    let authority = Authority::new();
    let (_held, router) = Held::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_tls, receiver) = watch::channel(tls(&authority.issue("localhost"), &[]));
    let bounds = Bounds { connections: 1, head: SHORT };
    tokio::spawn(serve(TlsListener::new(listener, receiver), router, bounds, pending()));
    let mut mute = Client::connect(address, &authority, None).await.unwrap();
    timeout(PATIENCE, mute.closed()).await.expect("it is closed");
    let mut next = Client::connect(address, &authority, None).await.unwrap();
    assert!(next.get("/ready").await.unwrap().starts_with("HTTP/1.1 200"), "its place is free again");
}

#[tokio::test]
async fn what_is_held_takes_its_time() {
    let (held, router) = Held::new();
    let address = start(router, 10).await;
    let poll = tokio::spawn(async move { all_of(address, &READY.replace("/ready", "/held")).await });
    held.reached.acquire().await.unwrap().forget();
    // It ends by the time for a head, which began after that of the poll had.
    assert_eq!(all_of(address, "GET /rea").await, "");
    held.release.notify_one();
    assert!(poll.await.unwrap().ends_with("released"));
}

#[tokio::test]
async fn the_newest_beyond_the_most_are_closed() {
    let (held, router) = Held::new();
    let address = start(router, 2).await;
    let polls = [(); 2]
        .map(|()| tokio::spawn(async move { all_of(address, &READY.replace("/ready", "/held")).await }));
    for _ in &polls {
        held.reached.acquire().await.unwrap().forget();
    }
    assert_eq!(all_of(address, READY).await, "");
    held.release.notify_one();
    let answered = async { while !all_of(address, READY).await.ends_with("ready") {} };
    timeout(PATIENCE, answered).await.expect("a place is free again");
    held.release.notify_one();
    for poll in polls {
        assert!(poll.await.unwrap().ends_with("released"), "the older ones are left alone");
    }
}

#[tokio::test]
async fn a_stop_waits_for_open_requests_and_takes_no_more() {
    let (held, router) = Held::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    let bounds = Bounds { connections: 10, head: PATIENCE };
    let port = tokio::spawn(serve(listener, router, bounds, stopped));
    let kept = READY.replace("/ready", "/held").replace("connection: close\r\n", "");
    let poll = tokio::spawn(async move { all_of(address, &kept).await });
    held.reached.acquire().await.unwrap().forget();
    drop(stop);
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(PATIENCE, refused).await.expect("nobody listens any more");
    assert!(!port.is_finished());
    held.release.notify_one();
    assert!(poll.await.unwrap().ends_with("released"), "and then its connection is closed");
    timeout(PATIENCE, port).await.expect("it ends").unwrap();
}
