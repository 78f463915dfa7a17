//! What is so of a worker's proxy, whatever the routes.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use e2e::process::{get, request, until};

use super::node::{Node, echo, near, route};
use crate::settings::Mode;

/// How many sockets of this machine listen on a port.
fn listening(port: u16) -> usize {
    /// As `/proc/net/tcp` numbers the states of a socket.
    const LISTEN: &str = "0A";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_listening = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields.get(1).is_some_and(|local| local.ends_with(&format!(":{port:04X}")))
            && fields.get(3) == Some(&LISTEN)
    };
    table.lines().filter(is_listening).count()
}

#[test]
fn each_thread_listens() {
    for threads in [1, 3] {
        let gateway = Node::gateway(&near("/", 1), &[&format!("proxy.threads={threads}")]);
        assert_eq!(listening(gateway.port), threads);
    }
    let gateway = Node::gateway(&near("/", 1), &["proxy.threads=0"]);
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(listening(gateway.port), cores, "one per core");
}

#[test]
fn a_trusted_proxy_is_believed() {
    let told = |set: &[&str]| {
        let gateway = Node::gateway(&near("/", echo("one")), set);
        let answer = request(gateway.port, "GET", "/", &[("x-forwarded-for", "192.0.2.9")], "").unwrap();
        answer.json()["headers"]["x-forwarded-for"].clone()
    };
    assert_eq!(told(&["proxy.trustedProxies.0=127.0.0.0/8"]), "192.0.2.9, 127.0.0.1");
    assert_eq!(told(&[]), "127.0.0.1");
}

#[test]
fn a_listener_says_whether_the_process_is_ready() {
    const READY: &str = "/.well-known/komainu/ready";
    let leader = Node::leader(&near("/", echo("one")), &[]).ready();
    let silent = Node::worker(leader.admin, &[]).ready();
    assert_eq!(silent.get(READY).json()["path"], READY, "it is the routes'");
    let worker = Node::worker(leader.admin, &["proxy.readiness=true"]).ready();
    assert_eq!(worker.get(READY).json()["ready"], true);
    let (_, folder) = worker.end();
    // From its disk, without a leader: it serves, and waits for one.
    let set =
        ["cluster.leader.urls.0=http://127.0.0.1:1", "cluster.worker.bootWait=10m", "proxy.readiness=true"];
    let worker = Node::start_in(folder, Mode::Worker, &set);
    let (answer, _) = until("it listens", || get(worker.port, READY).ok());
    assert_eq!((answer.status, answer.json()["ready"].as_bool()), (503, Some(false)));
    assert_eq!(worker.get("/.well-known/komainu/live").status, 200);
    let gateway = Node::gateway(&near("/", 1), &["proxy.readiness=true", "proxy.drainDelay=1m"]);
    assert_eq!(gateway.get(READY).status, 200);
    gateway.ask_to_stop();
    until("it says that it stops", || (get(gateway.port, READY).ok()?.status == 503).then_some(()));
}

/// A target that works for a while on each request; gives its port, and the most that it had at one time.
fn busy() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (now, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let peak = most.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (now, peak) = (now.clone(), peak.clone());
            std::thread::spawn(move || {
                use std::io::{Read as _, Write as _};
                while stream.read(&mut [0; 4096]).is_ok_and(|len| len > 0) {
                    peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(30));
                    now.fetch_sub(1, Ordering::SeqCst);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                }
            });
        }
    });
    (port, most)
}

fn at_once(port: u16, requests: usize) {
    let clients: Vec<_> = (0..requests)
        .map(|_| std::thread::spawn(move || assert_eq!(get(port, "/").unwrap().status, 200)))
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
}

#[test]
fn connections_to_a_target_are_as_many_as_allowed() {
    let (target, most) = busy();
    let gateway = Node::gateway(&near("/", target), &["proxy.connectionsPerTarget=1"]);
    at_once(gateway.port, 6);
    assert_eq!(most.load(Ordering::SeqCst), 1);
    for set in [&[][..], &["proxy.connectionsPerTarget=0"]] {
        let (target, most) = busy();
        let gateway = Node::gateway(&near("/", target), set);
        until("several at one time", || {
            at_once(gateway.port, 6);
            (most.load(Ordering::SeqCst) > 1).then_some(())
        });
    }
}

#[test]
fn where_a_worker_runs_decides_which_targets_it_uses() {
    const KEYS: [&str; 5] = ["provider", "region", "zone", "dataCenter", "rack"];
    let one = echo("one");
    let to = |key: &str| {
        let target = format!(
            "hostname: 127.0.0.1, port: {one}, predicate: {{type: NetworkLocationMatch, {key}: here}}"
        );
        route(&format!("/{}", key.to_lowercase()), &target)
    };
    let routes: String = KEYS.iter().map(|key| to(key)).collect();
    for key in KEYS {
        let gateway = Node::gateway(&routes, &[&format!("instance.location.{key}=here")]);
        for other in KEYS {
            let expected = if other == key { 200 } else { 503 };
            assert_eq!(gateway.get(&format!("/{}", other.to_lowercase())).status, expected, "{key} {other}");
        }
    }
}
