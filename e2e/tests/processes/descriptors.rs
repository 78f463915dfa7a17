//! A gateway that runs out of file descriptors.

use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::process::{Gateway, Session, figure, get, until};

use crate::fixture::{Fixture, route};

/// More than the process may have once the test has set its limit.
const CLIENTS: usize = 200;
/// As many clients as may come in; the rest have to wait.
const ROOM: usize = 50;

/// The value of a metric, read on a connection that was there before the shortage.
fn metric(admin: &mut Session, name: &str) -> u64 {
    let body = admin.get("/metrics").expect("the admin port answers").body;
    body.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).expect("a metric of that name")
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count()
}

/// CPU time of a process by the scheduler.
fn cpu(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
    let nanoseconds = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

#[test]
fn without_descriptors_accepting_rests_and_goes_on_afterwards() {
    let fixture = Fixture::new();
    fixture.write("one.yaml", &route("one", "/one", fixture.one));
    let gateway = Gateway::standalone(fixture.path(), &fixture.resources());
    let mut process = gateway.start_ready();
    until("the target serves", || get(gateway.port, "/one").ok().filter(|answer| answer.status == 200));
    let mut admin = Session::open(gateway.admin).expect("the admin port");
    let mut kept = Session::open(gateway.port).expect("a client that came before");
    assert_eq!(kept.get("/one").expect("an answer").status, 200);
    let limit = descriptors(process.pid()) + ROOM;
    let limited = Command::new("prlimit")
        .args(["--pid", &process.pid().to_string(), &format!("--nofile={limit}:{limit}")])
        .status();
    assert!(limited.expect("prlimit").success());

    let clients: Vec<_> =
        (0..CLIENTS).filter_map(|_| TcpStream::connect(("127.0.0.1", gateway.port)).ok()).collect();
    until("accepting rests", || (metric(&mut admin, "komainu_accept_pauses_total") > 0).then_some(()));
    let (before, begun, pauses) =
        (cpu(process.pid()), Instant::now(), metric(&mut admin, "komainu_accept_pauses_total"));
    // Two threads rest 50 ms at a time.
    until("it goes on resting", || {
        std::thread::sleep(Duration::from_millis(50));
        (metric(&mut admin, "komainu_accept_pauses_total") >= pauses + 60).then_some(())
    });
    let share = (cpu(process.pid()) - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    figure("descriptors_cpu_percent", format!("{:.1}", 100.0 * share));
    assert!(share < 0.1, "{share} of a core while there is nothing to do");
    assert!(process.exited().is_none());
    assert!(metric(&mut admin, "komainu_connections_active") < CLIENTS as u64);
    // Who is in is served, by a connection to the target that was kept.
    assert_eq!(kept.get("/one").expect("an answer during the shortage").status, 200);

    drop(clients);
    until("it accepts again", || get(gateway.port, "/one").ok().filter(|answer| answer.status == 200));
    let pauses = metric(&mut admin, "komainu_accept_pauses_total");
    figure("descriptors_pauses", pauses);
    let logged = process.log().matches("can't accept connections").count();
    assert!((1..=2).contains(&logged), "each of two threads says so once, not {logged} times");
}
