//! How names of targets are looked up.

use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use e2e::process::until;

use super::node::{Node, echo, route};

/// A DNS server that has 127.0.0.1 for every name, with a time to live in seconds; gives its port, and when it was asked.
fn server(ttl: u32) -> (u16, Arc<Mutex<Vec<Instant>>>) {
    const A: u8 = 1;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (port, asked) = (socket.local_addr().unwrap().port(), Arc::<Mutex<Vec<Instant>>>::default());
    let times = asked.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((_, client)) = socket.recv_from(&mut buffer) {
            // The labels of the name, then an empty one, the type and the class in two bytes each.
            let name_end = 12 + buffer[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
            let kind = buffer[name_end + 1];
            let answers = u8::from(kind == A);
            let mut answer = [&buffer[..2], &[0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0]].concat();
            answer.extend(&buffer[12..name_end + 4]);
            if kind == A {
                times.lock().unwrap().push(Instant::now());
                let ttl = ttl.to_be_bytes();
                answer.extend([&[0xc0, 12, 0, A, 0, 1], &ttl[..], &[0, 4, 127, 0, 0, 1]].concat());
            }
            socket.send_to(&answer, client).unwrap();
        }
    });
    (port, asked)
}

/// How long the name of a route's target is good for, by the server's word and these settings.
fn good_for(ttl: u32, set: &[&str]) -> Duration {
    let (port, asked) = server(ttl);
    let target = format!("hostname: target.test, port: {}", echo("one"));
    let server = format!("proxy.dns.servers.0=127.0.0.1:{port}");
    let gateway = Node::gateway(&route("/", &target), &[&[&*server], set].concat());
    let again = || {
        assert_eq!(gateway.get("/").json()["name"], "one");
        asked.lock().unwrap().get(..2).map(|times| times[1] - times[0])
    };
    until("the name is looked up again", again).0
}

#[test]
fn the_servers_are_asked_and_bounds_of_the_time_to_live_kept() {
    let at_least = std::thread::spawn(|| good_for(1, &["proxy.dns.minTtl=3s"]));
    let at_most = good_for(3_600, &["proxy.dns.maxTtl=1s"]);
    assert!(at_most >= Duration::from_millis(800), "{at_most:?}");
    // A time to live may end a tenth early.
    let at_least = at_least.join().unwrap();
    assert!(at_least >= Duration::from_millis(2_600), "{at_least:?}");
}
