//! How long it takes from a write that one leader acknowledged to the first request served by it, on workers of another leader.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use e2e::process::{Gateway, Session, figure};
use e2e::servers::Server;

use crate::kinds::{CASSANDRA, POSTGRES, REDIS};
use crate::several::{Site, route, send};

const WORKERS: usize = 3;
/// As fast as in the benchmark, in microseconds: mean, p99 and p99.9.
const LIMITS: [(&str, u128); 3] = [("mean", 10_000), ("p99", 30_000), ("p999", 75_000)];

/// How many routes are written; the acceptance run asks for more.
fn routes() -> usize {
    std::env::var("PROPAGATION").ok().and_then(|count| count.parse().ok()).unwrap_or(40)
}

fn measure(site: &Site, writer: &Gateway, reader: &Gateway) -> Vec<Duration> {
    let workers: Vec<_> = (0..WORKERS).map(|n| site.worker(&format!("w{n}"), &[reader])).collect();
    let _processes: Vec<_> = workers.iter().map(Gateway::start_ready).collect();
    let mut times = Vec::new();
    for n in 0..routes() {
        let id = format!("p{n}");
        assert_eq!(send(writer, "POST", "/api/routes", &route(&id, site.one)).status, 201);
        let written = Instant::now();
        let waiting: Vec<_> = workers
            .iter()
            .map(|worker| {
                let (port, path) = (worker.port, format!("/{id}"));
                std::thread::spawn(move || first_answer(port, &path, written))
            })
            .collect();
        times.extend(waiting.into_iter().map(|waiting| waiting.join().unwrap()));
    }
    times.sort_unstable();
    times
}

fn first_answer(port: u16, path: &str, written: Instant) -> Duration {
    let mut session = Session::open(port).unwrap();
    loop {
        if session.get(path).unwrap().status == 200 {
            return written.elapsed();
        }
        assert!(written.elapsed() < Duration::from_secs(10), "it isn't served");
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn tell(kind: &str, times: &[Duration], extra: Duration) {
    let at = |share: usize| times[(times.len() * share / 1_000).min(times.len() - 1)];
    let mean = times.iter().sum::<Duration>() / u32::try_from(times.len()).unwrap();
    for ((name, limit), time) in LIMITS.into_iter().zip([mean, at(990), at(999)]) {
        figure(&format!("stores_{kind}_propagation_{name}_ms"), time.as_micros() as f64 / 1_000.0);
        // CI has two busy cores, so here only what is certainly wrong fails.
        let limit = Duration::from_micros(u64::try_from(limit).unwrap()) + extra;
        assert!(time < limit * 20, "{kind}: {name} is {time:?}");
    }
}

/// One at a time: each has clients that never rest.
static TURN: Mutex<()> = Mutex::new(());

fn between_leaders(server: &Server, kind: &str, extra: Duration) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let site = Site::on(server);
    let [writer, reader] = site.leaders();
    let _processes = [writer.start_ready(), reader.start_ready()];
    tell(kind, &measure(&site, &writer, &reader), extra);
}

#[test]
fn by_redis() {
    between_leaders(&REDIS, "redis", Duration::ZERO);
}

#[test]
fn by_postgres() {
    between_leaders(&POSTGRES, "postgres", Duration::ZERO);
}

#[test]
fn by_cassandra() {
    between_leaders(&CASSANDRA, "cassandra", Duration::from_millis(100));
}

#[test]
fn by_the_embedded_store() {
    let site = Site::on(&REDIS);
    let leader = Gateway::bare_leader(&site.folder.path().join("alone"));
    let _process = leader.start_ready();
    tell("embedded", &measure(&site, &leader, &leader), Duration::ZERO);
}
