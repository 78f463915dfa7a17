//! What each field of a listener changes. TLS towards clients: `dataplane/proxy/tests/tls_listeners.rs`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use e2e::process::free_port;

use super::node::{Node, echo, near, write};
use crate::settings::Mode;

/// The beginning of what is answered to these bytes on a connection of their own; nothing if it is closed.
fn say(address: &str, port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect((address, port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = vec![0; 4096];
    let len = stream.read(&mut answer).unwrap_or_default();
    answer.truncate(len);
    answer
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[test]
fn it_has_its_address_and_port() {
    let port = free_port();
    let set = ["listeners.0.address=127.0.0.2".to_owned(), format!("listeners.0.port={port}")];
    let _gateway = Node::gateway(&near("/", echo("one")), &[&set[0], &set[1]]);
    assert!(say("127.0.0.2", port, GET).starts_with(b"HTTP/1.1 200"));
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "at that address alone");
}

#[test]
fn a_worker_has_a_port_and_address_of_its_own_for_it() {
    let leader = Node::leader(&near("/", echo("one")), &[]).ready();
    let worker = Node::worker(leader.admin, &["listeners.0.address=127.0.0.2"]).ready();
    assert!(say("127.0.0.2", worker.port, GET).starts_with(b"HTTP/1.1 200"));
    assert!(TcpStream::connect(("127.0.0.2", leader.port)).is_err(), "the leader's isn't used");
}

#[test]
fn routes_are_attached_to_it_by_its_name() {
    let route = near("/", echo("one")).replace("spec:", "spec:\n  listeners: [inner]");
    assert_eq!(Node::gateway(&route, &["listeners.0.name=inner"]).get("/").status, 200);
    assert_eq!(Node::gateway(&route, &["listeners.0.name=outer"]).get("/").status, 404);
}

#[test]
fn targets_are_told_the_advertised_port() {
    let gateway = Node::gateway(&near("/", echo("one")), &["listeners.0.advertisedPort=443"]);
    assert_eq!(gateway.get("/").json()["headers"]["x-forwarded-port"], "443");
    let gateway = Node::gateway(&near("/", echo("one")), &[]);
    assert_eq!(gateway.get("/").json()["headers"]["x-forwarded-port"], gateway.port.to_string());
}

#[test]
fn it_speaks_http2_or_not() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    /// The type of a frame is its fourth byte.
    const SETTINGS: u8 = 4;
    let answer = |set: &[&str]| {
        let gateway = Node::gateway(&near("/", 1), set);
        say("127.0.0.1", gateway.port, PREFACE)
    };
    assert_eq!(answer(&[]).get(3), Some(&SETTINGS));
    let answer = answer(&["listeners.0.http2=false"]);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{answer:?}");
}

#[test]
fn it_takes_the_header_of_the_proxy_protocol_or_not() {
    let with_header = [b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 80\r\n", GET].concat();
    let gateway = Node::gateway(&near("/", echo("one")), &["listeners.0.proxyProtocol=true"]);
    let answer = String::from_utf8(say("127.0.0.1", gateway.port, &with_header)).unwrap();
    assert!(answer.contains(r#""x-forwarded-for":"192.0.2.1""#), "{answer}");
    assert_eq!(say("127.0.0.1", gateway.port, GET), b"", "without one");
    let gateway = Node::gateway(&near("/", echo("one")), &[]);
    assert!(!say("127.0.0.1", gateway.port, &with_header).starts_with(b"HTTP/1.1 200"));
}

#[test]
fn with_https_it_speaks_tls() {
    let folder = tempfile::tempdir().unwrap();
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let resources = write(folder.path(), "resources", &near("/", 1));
    let certificates = folder.path().join("resources/certificates");
    std::fs::create_dir(&certificates).unwrap();
    std::fs::write(certificates.join("site.crt"), cert.pem()).unwrap();
    std::fs::write(certificates.join("site.key"), signing_key.serialize_pem()).unwrap();
    let set = [
        &*format!("resources={resources}"),
        "listeners.0.protocol=HTTPS",
        "listeners.0.tls.certificates.0=site",
    ];
    let gateway = Node::start_in(folder, Mode::Off, &set).ready();
    /// An alert, with which TLS answers what is none of it, or a sentence about it.
    const ALERT: u8 = 21;
    let answer = say("127.0.0.1", gateway.port, GET);
    assert!(answer.first() == Some(&ALERT) || answer.starts_with(b"HTTP/1.1 400"), "{answer:?}");
}
