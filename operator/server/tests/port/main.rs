//! The leader's port inside TLS, over real sockets.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what a test can't get fails it")]

mod bounds;
mod peers;

use std::future::pending;
use std::time::Duration;

use operator_server::Credentials;
use operator_server::cluster::{Cluster, ClusterSettings};
use operator_server::port::{Bounds, PortTls, PortTlsError, TlsListener, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use peers::{Authority, Client, Identity};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

struct Port {
    address: std::net::SocketAddr,
    tls: watch::Sender<PortTls>,
}

impl Port {
    /// The cluster endpoints, and `/ready`, which asks for nothing.
    async fn start(tls: PortTls, client_certificates: bool) -> Self {
        let settings = ClusterSettings::new(Credentials::new("id", "secret"));
        let cluster = Cluster::new(ClusterSettings { client_certificates, ..settings });
        let router = cluster.router().route("/ready", axum::routing::get(|| async { "ready" }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, receiver) = watch::channel(tls);
        let listener = TlsListener::new(listener, receiver);
        tokio::spawn(serve(listener, router, Bounds::of(None), pending()));
        Self { address, tls: sender }
    }
}

fn tls(identity: &Identity, clients: &[&Authority]) -> PortTls {
    let authorities: Vec<_> = clients.iter().map(|authority| authority.certificate()).collect();
    PortTls::new(&identity.spec(), &authorities).unwrap()
}

#[tokio::test]
async fn a_replaced_certificate_is_served_to_connections_that_begin_after_it() {
    let authority = Authority::new();
    let (first, second) = (authority.issue("localhost"), authority.issue("localhost"));
    let port = Port::start(tls(&first, &[]), false).await;
    let mut before = Client::connect(port.address, &authority, None).await.unwrap();
    assert_eq!(before.shown(), first.certificate());

    port.tls.send_replace(tls(&second, &[]));
    let mut after = Client::connect(port.address, &authority, None).await.unwrap();
    assert_eq!(after.shown(), second.certificate());
    for client in [&mut before, &mut after] {
        assert!(client.get("/ready").await.unwrap().starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_keeps_nobody_waiting() {
    let authority = Authority::new();
    let port = Port::start(tls(&authority.issue("localhost"), &[]), false).await;
    let mute = TcpStream::connect(port.address).await.unwrap();
    let mut client = Client::connect(port.address, &authority, None).await.unwrap();
    assert!(client.get("/ready").await.unwrap().starts_with("HTTP/1.1 200"));
    drop(mute);
}

#[tokio::test]
async fn a_client_without_tls_is_told_what_to_write() {
    let authority = Authority::new();
    let port = Port::start(tls(&authority.issue("localhost"), &[]), false).await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    stream.write_all(b"GET /ready HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.ends_with("write https instead of http\n"), "{answer}");
}

#[tokio::test]
async fn workers_are_known_by_certificates_and_all_else_goes_without() {
    let (leaders, workers) = (Authority::new(), Authority::new());
    let port = Port::start(tls(&leaders.issue("localhost"), &[&workers]), true).await;
    let state = "/api/cluster/state";

    let mut anonymous = Client::connect(port.address, &leaders, None).await.unwrap();
    let refused = anonymous.get(state).await.unwrap();
    assert!(refused.starts_with("HTTP/1.1 403 "), "also with the right credentials: {refused}");
    assert!(refused.contains("show one that is signed by an authority"), "{refused}");
    let mut anonymous = Client::connect(port.address, &leaders, None).await.unwrap();
    assert!(anonymous.get("/ready").await.unwrap().starts_with("HTTP/1.1 200 "));

    let known = workers.issue("worker");
    let mut client = Client::connect(port.address, &leaders, Some(&known)).await.unwrap();
    let answer = client.get(state).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "there is no state yet, but it may ask: {answer}");

    let stranger = Authority::new().issue("worker");
    let refused = match Client::connect(port.address, &leaders, Some(&stranger)).await {
        Ok(mut client) => client.get(state).await.map(drop),
        Err(error) => Err(error),
    };
    assert!(refused.unwrap_err().to_string().contains("UnknownCA"));
}

#[tokio::test]
async fn an_authority_that_is_replaced_lets_nobody_in_any_more() {
    let (leaders, workers, others) = (Authority::new(), Authority::new(), Authority::new());
    let own = leaders.issue("localhost");
    let port = Port::start(tls(&own, &[&workers]), true).await;
    let config = peers::config(&leaders, Some(&workers.issue("worker")));
    let known = async || {
        let mut client = Client::connect_by(port.address, config.clone()).await?;
        let answer = client.get("/api/cluster/state").await?;
        Ok::<_, std::io::Error>((client.is_resumed(), answer.starts_with("HTTP/1.1 503 ")))
    };
    assert_eq!(known().await.unwrap(), (false, true));
    assert_eq!(known().await.unwrap(), (true, true), "by the ticket");
    port.tls.send_replace(tls(&own, &[&others]));
    assert!(known().await.unwrap_err().to_string().contains("UnknownCA"), "the ticket counts no more");
}

#[test]
fn says_what_can_t_be_used() {
    let authority = Authority::new();
    let (mut one, other) = (authority.issue("a").spec(), authority.issue("b").spec());
    one.key = other.key;
    assert!(matches!(PortTls::new(&one, &[]), Err(PortTlsError::Certificate(_))));
    one.key = None;
    assert!(matches!(PortTls::new(&one, &[]), Err(PortTlsError::NoKey)));
    let garbage = [bytes::Bytes::from_static(b"garbage")];
    assert!(matches!(PortTls::new(&authority.issue("a").spec(), &garbage), Err(PortTlsError::Authority(_))));
}
