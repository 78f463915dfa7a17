//! The cluster endpoints, request by request.

#![expect(clippy::unwrap_used, reason = "what a test can't get fails it")]

mod changes;
mod fleet;
mod reports;
mod scopes;
mod usage;

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;

use axum::body::Body;
use base64::Engine as _;
use bytes::Bytes;
use dataplane_snapshot::{AsOf, Epoch, Key, Kind, Object, Root, Snapshot, SourceAsOf, wire};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use operator_server::Credentials;
use operator_server::cluster::{Cluster, ClusterSettings, MAX_ACK_BYTES};
use operator_server::port::{Bounds, serve};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt as _;

struct Leader {
    cluster: Arc<Cluster>,
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    shutdown: watch::Sender<bool>,
}

fn leader() -> Leader {
    leader_with(ClusterSettings::new(Credentials::new("id", "secret")))
}

fn leader_with(settings: ClusterSettings) -> Leader {
    let cluster = Cluster::new(settings);
    let (snapshots, receiver) = watch::channel(None);
    let (shutdown, is_shutdown) = watch::channel(false);
    tokio::spawn(cluster.clone().run(receiver, is_shutdown));
    Leader { cluster, snapshots, shutdown }
}

fn snapshot(text: &str) -> Snapshot {
    let listener = wire::Listener { address: text.into(), ..Default::default() };
    let key = Key::new(Kind::Listener, "settings", "http");
    let epoch = Epoch { id: "e".into(), created_at: 1 };
    let as_of = SourceAsOf { epoch, revisions: BTreeMap::from([(Kind::Route, 7)]) };
    let object = Object::encode(key, &wire::Payload::Listener(listener).into());
    Snapshot::new([object], AsOf(BTreeMap::from([("files".into(), as_of)])))
}

fn request(method: &str, path: &str) -> http::request::Builder {
    let pair = base64::engine::general_purpose::STANDARD.encode("id:secret");
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Basic {pair}"))
        .header("komainu-worker-id", "w1")
        .header("komainu-worker-name", "edge")
        .header("komainu-worker-version", "0.1.0")
}

impl Leader {
    async fn publish(&self, text: &str) -> Root {
        self.publish_all(snapshot(text)).await
    }

    async fn publish_all(&self, snapshot: Snapshot) -> Root {
        let root = snapshot.root();
        self.snapshots.send_replace(Some(Arc::new(snapshot)));
        while self.cluster.root() != Some(root) {
            tokio::task::yield_now().await;
        }
        root
    }

    async fn send(&self, request: http::Result<Request<Body>>) -> Response<Body> {
        self.cluster.router().oneshot(request.unwrap()).await.unwrap()
    }

    async fn ack(&self, ack: wire::Ack) -> StatusCode {
        self.send(request("POST", "/api/cluster/ack").body(ack.encode_to_vec().into())).await.status()
    }

    async fn members(&self) -> serde_json::Value {
        let response = self.send(request("GET", "/api/cluster/members").body(Body::empty())).await;
        assert_eq!(response.status(), StatusCode::OK);
        serde_json::from_slice(&body(response).await).unwrap()
    }
}

async fn body(response: Response<Body>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

fn etag(root: Root) -> String {
    format!("\"{root}\"")
}

#[tokio::test]
async fn every_endpoint_asks_for_credentials() {
    let leader = leader();
    for (method, path) in [
        ("GET", "/api/cluster/state"),
        ("POST", "/api/cluster/state"),
        ("POST", "/api/cluster/ack"),
        ("POST", "/api/cluster/report"),
        ("GET", "/api/cluster/health"),
        ("GET", "/api/cluster/members"),
        ("DELETE", "/api/cluster/members/w1"),
    ] {
        let mut request = request(method, path);
        request.headers_mut().unwrap().remove("authorization");
        let response = leader.send(request.body(Body::empty())).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(response.headers()["www-authenticate"], "Basic realm=\"komainu\"");
    }
    assert_eq!(leader.cluster.stats().unauthorized, 7);
    assert!(leader.cluster.members().is_empty());
}

#[tokio::test]
async fn a_worker_must_say_who_it_is() {
    let leader = leader();
    for name in ["komainu-worker-id", "komainu-worker-name", "komainu-worker-version"] {
        for value in [None, Some(String::new()), Some("a b".into()), Some("x".repeat(254))] {
            let mut request = request("GET", "/api/cluster/state");
            request.headers_mut().unwrap().remove(name);
            let request = value.into_iter().fold(request, |request, value| request.header(name, value));
            let response = leader.send(request.body(Body::empty())).await;
            assert_eq!(response.status(), StatusCode::BAD_REQUEST);
            assert!(body(response).await.starts_with(format!("header {name} must have").as_bytes()));
        }
    }
}

#[tokio::test]
async fn the_state_has_its_root_as_etag() {
    let leader = leader();
    let root = leader.publish("one").await;
    let response = leader.send(request("GET", "/api/cluster/state").body(Body::empty())).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["etag"], etag(root));
    assert_eq!(response.headers()["content-type"], "application/x-protobuf");
    let state = wire::State::decode_snapshot(body(response).await).unwrap();
    assert_eq!((state.root(), state.as_of()), (root, snapshot("one").as_of()));

    let known = request("GET", "/api/cluster/state").header("if-none-match", etag(root));
    let response = leader.send(known.body(Body::empty())).await;
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(response.headers()["etag"], etag(root));
}

#[tokio::test]
async fn a_held_poll_is_answered_by_the_next_state() {
    let leader = leader();
    let root = leader.publish("one").await;
    let poll =
        request("GET", "/api/cluster/state").header("if-none-match", etag(root)).header("prefer", "wait=25");
    let held = tokio::spawn(leader.cluster.router().oneshot(poll.body(Body::empty()).unwrap()));
    while leader.cluster.stats().held == 0 {
        tokio::task::yield_now().await;
    }
    let next = leader.publish("two").await;
    let response = held.await.unwrap().unwrap();
    assert_eq!(response.headers()["etag"], etag(next));
    assert_eq!(leader.cluster.stats().held, 0);
}

#[tokio::test]
async fn a_poll_whose_connection_is_gone_is_not_held() {
    let leader = leader();
    let poll = request("GET", "/api/cluster/state").header("prefer", "wait=25");
    let held = tokio::spawn(leader.cluster.router().oneshot(poll.body(Body::empty()).unwrap()));
    while leader.cluster.stats().held == 0 {
        tokio::task::yield_now().await;
    }
    held.abort();
    assert!(held.await.is_err());
    assert_eq!(leader.cluster.stats().held, 0);
}

#[tokio::test]
async fn without_a_state_a_worker_is_asked_to_come_back() {
    let leader = leader();
    let response = leader.send(request("GET", "/api/cluster/state").body(Body::empty())).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
}

#[tokio::test]
async fn whole_states_are_sent_to_so_many_at_one_time_and_others_are_asked_to_come_back() {
    let mut settings = ClusterSettings::new(Credentials::new("id", "secret"));
    settings.full_sends = 2;
    let leader = leader_with(settings);
    leader.publish("one").await;
    let ask = || leader.send(request("GET", "/api/cluster/state").body(Body::empty()));
    let (first, second) = (ask().await, ask().await);
    let late = ask().await;
    assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE, "two are under way");
    assert_eq!(late.headers()["retry-after"], "1");
    assert!(body(late).await.starts_with(b"too many workers"));
    assert_eq!(leader.cluster.stats().not_now, 1);
    body(first).await;
    drop(second);
    assert_eq!((ask().await.status(), ask().await.status()), (StatusCode::OK, StatusCode::OK));
}

#[tokio::test]
async fn a_leader_that_stops_ends_held_polls() {
    let leader = leader();
    let poll = request("GET", "/api/cluster/state").header("prefer", "wait=25");
    let held = tokio::spawn(leader.cluster.router().oneshot(poll.body(Body::empty()).unwrap()));
    while leader.cluster.stats().held == 0 {
        tokio::task::yield_now().await;
    }
    leader.shutdown.send_replace(true);
    assert_eq!(held.await.unwrap().unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn an_acknowledgement_shows_in_the_members() {
    let leader = leader();
    let root = leader.publish("one").await;
    let rejection = |key: &str, reason: &str| wire::Rejection { key: key.into(), reason: reason.into() };
    let ack = wire::Ack {
        root: Bytes::copy_from_slice(&root.0),
        as_of: Some(wire::as_of_to_wire(snapshot("one").as_of())),
        rejected: vec![
            rejection("route/default/a", "no such listener"),
            rejection("", "state 00 was refused"),
            rejection("shoe/default/a", "of a later version"),
        ],
        member: None,
        more_rejected: false,
    };
    assert_eq!(leader.ack(ack).await, StatusCode::NO_CONTENT);
    let mut members = leader.members().await;
    members[0]["silentForMs"].take();
    let expected = serde_json::json!([{
        "id": "w1",
        "name": "edge",
        "version": "0.1.0",
        "role": "worker",
        "colour": "red",
        "problems": ["refused a state as a whole and serves the one before", "can't use 1 object"],
        "silentForMs": null,
        "lost": false,
        "sameName": false,
        "upToDate": true,
        "behindForMs": 0,
        "root": root.to_string(),
        "asOf": {"files": {"epoch": "e", "revisions": {"route": 7}}},
        "rejected": [{"key": "route/default/a", "reason": "no such listener"}],
        "refused": "state 00 was refused",
    }]);
    assert_eq!(members, expected);
    leader.publish("two").await;
    assert_eq!(leader.members().await[0]["upToDate"], false);
}

#[tokio::test]
async fn what_is_no_acknowledgement_is_refused() {
    let leader = leader();
    let root = Bytes::from_static(&[1; 32]);
    assert_eq!(leader.ack(wire::Ack::default()).await, StatusCode::BAD_REQUEST);
    assert_eq!(
        leader.ack(wire::Ack { root: root.slice(1..), ..Default::default() }).await,
        StatusCode::BAD_REQUEST
    );
    let member = wire::Member { id: "w\n".into(), name: "n".into(), version: "v".into() };
    let ack = wire::Ack { root: root.clone(), member: Some(member), ..Default::default() };
    assert_eq!(leader.ack(ack).await, StatusCode::BAD_REQUEST);
    let other = wire::Member { id: "w2".into(), name: "n".into(), version: "v".into() };
    let ack = wire::Ack { root: root.clone(), member: Some(other), ..Default::default() };
    let answer = leader.send(request("POST", "/api/cluster/ack").body(ack.encode_to_vec().into())).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let sentence = body(answer).await;
    assert!(sentence.ends_with(b"a worker speaks for itself\n"), "{sentence:?}");
    for (count, epoch) in [(1_000, "e".to_owned()), (1, "e".repeat(254))] {
        let source = wire::WireSource { epoch_id: epoch, ..Default::default() };
        let sources = (0..count).map(|number| (number.to_string(), source.clone())).collect();
        let as_of = Some(wire::WireAsOf { sources });
        let ack = wire::Ack { root: root.clone(), as_of, ..Default::default() };
        assert_eq!(leader.ack(ack).await, StatusCode::BAD_REQUEST);
    }
    let garbage = leader.send(request("POST", "/api/cluster/ack").body(Body::from("\u{fffd}"))).await;
    assert_eq!(garbage.status(), StatusCode::BAD_REQUEST);
    let long = wire::Rejection { key: "route/a/b".into(), reason: "x".repeat(MAX_ACK_BYTES) };
    let ack = wire::Ack { root, rejected: vec![long], ..Default::default() };
    assert_eq!(leader.ack(ack).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(leader.cluster.members().is_empty());
}

#[tokio::test]
async fn a_member_can_be_forgotten() {
    let leader = leader();
    leader.ack(wire::Ack { root: Bytes::from_static(&[1; 32]), ..Default::default() }).await;
    let forget = || request("DELETE", "/api/cluster/members/w1").body(Body::empty());
    assert_eq!(leader.send(forget()).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(leader.send(forget()).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(leader.members().await, serde_json::json!([]));
}

/// A state with a private key.
fn with_secret(key: &'static str) -> Snapshot {
    let secret = wire::Secret { kind: Some(wire::SecretKind::PrivateKey(key.into())) };
    let secret =
        Object::encode(Key::new(Kind::Secret, "default", "site"), &wire::Payload::Secret(secret).into());
    let base = snapshot("one");
    base.edit([secret], &[], base.as_of().clone())
}

/// The head and body of an answer to a worker that connects to the leader over the loopback interface.
async fn ask_over_loopback(leader: &Leader, headers: &str) -> (String, Bytes) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, leader.cluster.router(), Bounds::of(None), pending()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let pair = base64::engine::general_purpose::STANDARD.encode("id:secret");
    let request = format!(
        "GET /api/cluster/state HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Basic {pair}\r\n\
         komainu-worker-id: w2\r\nkomainu-worker-name: near\r\nkomainu-worker-version: 0.1.0\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let body = Bytes::from(answer.split_off(end));
    (String::from_utf8(answer).unwrap(), body)
}

#[tokio::test]
async fn private_keys_are_sent_within_one_machine_only() {
    let leader = leader();
    let whole = leader.publish_all(with_secret("key")).await;
    let without = snapshot("one").root();

    let here = "komainu-worker-call: loopback\r\n";
    let (head, state) = ask_over_loopback(&leader, here).await;
    assert!(head.contains(&etag(whole)), "{head}");
    assert_eq!(wire::State::decode_snapshot(state).unwrap().root(), whole);

    let response = leader.send(request("GET", "/api/cluster/state").body(Body::empty())).await;
    assert_eq!(response.headers()["etag"], etag(without));
    let state = body(response).await;
    assert!(!state.windows(3).any(|window| window == b"key"));
    assert_eq!(wire::State::decode_snapshot(state).unwrap().root(), without);

    for behind_a_proxy in ["", &format!("{here}x-forwarded-for: 192.0.2.1\r\n")] {
        let (head, state) = ask_over_loopback(&leader, behind_a_proxy).await;
        assert!(head.contains(&etag(without)), "{behind_a_proxy}: {head}");
        assert_eq!(wire::State::decode_snapshot(state).unwrap().root(), without);
    }
}

#[tokio::test]
async fn a_worker_without_secrets_is_current_by_its_own_root() {
    let leader = leader();
    let whole = leader.publish_all(with_secret("key")).await;
    let without = snapshot("one").root();
    let poll = |wait: &str| {
        let poll = request("GET", "/api/cluster/state").header("if-none-match", etag(without));
        poll.header("prefer", format!("wait={wait}")).body(Body::empty())
    };
    let response = leader.send(poll("0")).await;
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(response.headers()["etag"], etag(without));

    let root = Bytes::copy_from_slice(&without.0);
    assert_eq!(leader.ack(wire::Ack { root, ..Default::default() }).await, StatusCode::NO_CONTENT);
    let counted = leader.cluster.counted(None);
    assert_eq!(counted[0].ack.as_ref().map(|ack| ack.root), Some(whole), "it counts as having everything");

    let held = tokio::spawn(leader.cluster.router().oneshot(poll("25").unwrap()));
    while leader.cluster.stats().held == 0 {
        tokio::task::yield_now().await;
    }
    leader.publish_all(with_secret("another key")).await;
    let response = held.await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::OK, "it is told, so that it acknowledges");
    assert_eq!(response.headers()["etag"], etag(without));
}
