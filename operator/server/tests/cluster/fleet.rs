//! What a whole fleet of workers costs a leader that is restarted, and one that its workers didn't know before.

use std::future::pending;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dataplane_snapshot::wire::State;
use dataplane_snapshot::{Key, Kind, Object, Snapshot, manifest, wire};
use operator_server::Credentials;
use operator_server::cluster::ClusterSettings;
use operator_server::port::{self, Bounds};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Leader, leader, leader_with, snapshot};

const WORKERS: usize = 200;

/// The most that a worker may be sent by a restarted leader whose content is the same, heads included.
const RESTART_BYTES: usize = 1024;

/// The time in which all of them must be up to date.
const IN_TIME: Duration = Duration::from_secs(5);

/// A listener and so many routes, some of which say `text`.
fn routes(count: usize, text: &str) -> Snapshot {
    let base = snapshot("fleet");
    let route = |number: usize| {
        let text = if number.is_multiple_of(100) { text } else { "the same everywhere" };
        let route = wire::Route { name: format!("{text} {number}"), ..Default::default() };
        Object::encode(
            Key::new(Kind::Route, "default", format!("r{number}")),
            &wire::Payload::Route(route).into(),
        )
    };
    base.edit((0..count).map(route), &[], base.as_of().clone())
}

async fn serve(leader: &Leader) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(port::serve(listener, leader.cluster.router(), Bounds::of(None), pending()));
    address
}

/// One worker's connection. Counts what it is sent.
struct Worker {
    number: usize,
    stream: TcpStream,
    received: usize,
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Worker {
    async fn connect(number: usize, leader: SocketAddr) -> Self {
        Self { number, stream: TcpStream::connect(leader).await.unwrap(), received: 0 }
    }

    async fn ask(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        use base64::Engine as _;
        let pair = base64::engine::general_purpose::STANDARD.encode("id:secret");
        let number = self.number;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: leader\r\nauthorization: Basic {pair}\r\nkomainu-worker-id: w{number}\r\n\
             komainu-worker-name: edge-{number}\r\nkomainu-worker-version: 0.1.0\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        self.stream.write_all(head.as_bytes()).await.unwrap();
        self.stream.write_all(body).await.unwrap();
        self.answer().await
    }

    async fn answer(&mut self) -> Answer {
        let mut bytes = Vec::new();
        let (mut body, head) = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let body = bytes.split_off(at + 4);
                break (body, String::from_utf8(bytes).unwrap().to_lowercase());
            }
            self.read(&mut bytes).await;
        };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        assert!(!head.contains("transfer-encoding"), "{head}");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        while status != 304 && body.len() < length {
            self.read(&mut body).await;
        }
        Answer { status, body }
    }

    async fn read(&mut self, bytes: &mut Vec<u8>) {
        let read = self.stream.read_buf(bytes).await.unwrap();
        assert_ne!(read, 0, "the leader has closed the connection");
        self.received += read;
    }

    /// Asks for what is new after `own` until the leader has an answer.
    async fn poll(&mut self, own: &Snapshot) -> Answer {
        let root = own.root().entity_tag();
        let headers = format!("if-none-match: {root}\r\nkomainu-base: {root}\r\n");
        self.ask("GET", "/api/cluster/state", &headers, &[]).await
    }

    async fn acknowledge(&mut self, own: &Snapshot) {
        let ack = wire::Ack {
            root: own.root().0.to_vec().into(),
            as_of: Some(wire::as_of_to_wire(own.as_of())),
            ..Default::default()
        };
        let answer = self.ask("POST", "/api/cluster/ack", "", &ack.encode_to_vec()).await;
        assert!((200..300).contains(&answer.status), "{}", String::from_utf8_lossy(&answer.body));
    }
}

/// The workers at `leader` that say that they have `root` in service.
fn synced(leader: &Leader, own: &Snapshot) -> usize {
    let members = leader.cluster.members();
    members.iter().filter(|member| member.applied.as_ref().is_some_and(|it| it.root == own.root())).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_leader_sends_its_workers_next_to_nothing() {
    let content = routes(5_000, "one");
    // A new process: it has the same content, and remembers nothing.
    let leader = leader();
    leader.publish_all(routes(5_000, "one")).await;
    let address = serve(&leader).await;
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for number in 0..WORKERS {
        let content = content.clone();
        workers.spawn(async move {
            let mut worker = Worker::connect(number, address).await;
            assert_eq!(worker.poll(&content).await.status, 304);
            worker.acknowledge(&content).await;
            worker.received
        });
    }
    let received = workers.join_all().await;
    assert!(start.elapsed() < IN_TIME, "{:?}", start.elapsed());
    assert_eq!(synced(&leader, &content), WORKERS);
    let most = received.into_iter().max().unwrap();
    assert!(most <= RESTART_BYTES, "a worker got {most} bytes");
    let stats = leader.cluster.stats();
    assert_eq!((stats.states, stats.changes, stats.manifests), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_of_another_leader_send_a_manifest_once_and_get_what_differs() {
    let (own, next) = (routes(5_000, "one"), routes(5_000, "two"));
    // Fewer at one time than there are workers: they stand in line.
    let settings =
        ClusterSettings { full_sends: 8, ..ClusterSettings::new(Credentials::new("id", "secret")) };
    let leader = leader_with(settings);
    leader.publish_all(next.clone()).await;
    let address = serve(&leader).await;
    let mut workers = JoinSet::new();
    for number in 0..WORKERS {
        let (own, next) = (own.clone(), next.clone());
        workers.spawn(async move { move_to(&mut Worker::connect(number, address).await, &own, &next).await });
    }
    let sizes = workers.join_all().await;
    assert_eq!(synced(&leader, &next), WORKERS);
    let whole = State::from_snapshot(&next).encode_to_vec().len();
    let most = sizes.into_iter().max().unwrap();
    assert!(most * 50 <= whole, "{most} bytes were sent of the {whole} of all");
    // Each says once what it has; from then on its leader knows where it is.
    let after = next.edit([], &[Key::new(Kind::Route, "default", "r7")], next.as_of().clone());
    leader.publish_all(after).await;
    let mut worker = Worker::connect(0, address).await;
    assert_eq!(worker.poll(&next).await.status, 200);
    let stats = leader.cluster.stats();
    assert_eq!((stats.states, stats.manifests, stats.changes), (0, WORKERS as u64, 1));
}

/// Gives the size of what differs, as it was sent.
async fn move_to(worker: &mut Worker, own: &Snapshot, next: &Snapshot) -> usize {
    let root = own.root().entity_tag();
    assert_eq!(worker.poll(own).await.status, 409);
    let headers = format!("komainu-base: {root}\r\n");
    let manifest = manifest::manifest(own);
    let answer = loop {
        let answer = worker.ask("POST", "/api/cluster/state", &headers, &manifest).await;
        // Asked to come back: too many are served at this moment.
        if answer.status != 503 {
            break answer;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(answer.status, 200);
    let size = answer.body.len();
    let reached = State::decode_onto(answer.body.into(), Some(own)).unwrap();
    assert_eq!(reached.root(), next.root());
    worker.acknowledge(&reached).await;
    size
}
