//! What a process is, where it keeps things, and where it is spoken to.

use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use e2e::process::{free_port, get, until};

use super::node::{Node, echo, near};
use crate::settings::Mode;

#[test]
fn a_folder_of_resources_is_served() {
    let one = echo("one");
    let gateway = Node::gateway(&near("/a", one), &[]);
    assert_eq!(gateway.get("/a").json()["name"], "one");
    let other = Node::gateway(&near("/b", one), &[]);
    assert_eq!((other.get("/a").status, other.get("/b").status), (404, 200));
}

#[test]
fn what_is_to_be_kept_is_in_the_data_directory() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("elsewhere").join("deep");
    let set = [
        format!("dataDirectory={}", place.display()),
        format!("admin.port={}", free_port()),
        format!("listeners.0.port={}", free_port()),
    ];
    let _leader = Node::start_as(folder, Mode::Leader, set.into()).ready();
    for file in ["store.redb", "credentials"] {
        assert!(place.join(file).exists(), "{file}");
    }
}

#[test]
fn the_admin_port_is_where_it_is_told() {
    let port = free_port();
    let set = ["admin.address=127.0.0.2".to_owned(), format!("admin.port={port}")];
    let _leader = Node::start(Mode::Leader, &[&set[0], &set[1]]);
    until("it is at the one address", || TcpStream::connect(("127.0.0.2", port)).ok());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "and not at the other");
}

#[test]
fn the_mode_says_which_halves_there_are() {
    let halves = |node: &Node| {
        let health = get(node.admin, "/health").unwrap().json();
        ["leader", "worker"].map(|half| health[half].is_object())
    };
    let has_api = |node: &Node| get(node.admin, "/api/cluster/members").unwrap().status == 401;
    let serves = |node: &Node| get(node.port, "/a").is_ok();
    let leader = Node::leader(&near("/a", 1), &[]).ready();
    let both = Node::gateway(&near("/a", 1), &[]);
    let worker = Node::worker(leader.admin, &[]).ready();
    assert_eq!((halves(&leader), has_api(&leader), serves(&leader)), ([true, false], true, false));
    assert_eq!((halves(&both), has_api(&both), serves(&both)), ([true, true], true, true));
    assert_eq!((halves(&worker), has_api(&worker), serves(&worker)), ([false, true], false, true));
}

#[test]
fn a_stop_begins_after_the_delay() {
    const DELAY: Duration = Duration::from_millis(700);
    let gateway = Node::gateway(&near("/a", 1), &["proxy.drainDelay=700ms"]);
    let begun = Instant::now();
    let (ended, _) = gateway.end();
    assert!(begun.elapsed() >= DELAY, "{:?}", begun.elapsed());
    assert_eq!(ended, Ok(ExitCode::SUCCESS));
}

#[test]
fn open_requests_are_cut_after_the_timeout() {
    let gateway = Node::gateway(&near("/", echo("one")), &["proxy.drainTimeout=200ms"]);
    let port = gateway.port;
    let slow = std::thread::spawn(move || get(port, "/delay/25s"));
    until("the slow request is in flight", || {
        get(gateway.admin, "/metrics").ok()?.body.contains("komainu_connections_active 1").then_some(())
    });
    let begun = Instant::now();
    let (ended, _) = gateway.end();
    assert_eq!(ended, Ok(ExitCode::from(3)));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(slow.join().unwrap().is_err(), "it was cut");
}
