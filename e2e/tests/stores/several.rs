//! Several processes of the program on one store.

use std::time::Duration;

use e2e::process::{CREDENTIALS, Gateway, Load, Program, figure, get, request, until};
use e2e::servers::Server;
use serde_json::json;

use crate::kinds::{CASSANDRA, POSTGRES, REDIS, fresh, ready};

/// Two upstreams, and processes that share a store.
pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
    prefix: String,
    url: String,
    pub(crate) one: u16,
    two: u16,
    _upstreams: [Program; 2],
}

impl Site {
    pub(crate) fn on(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (first, one) = Program::echo("one", folder.path());
        let (second, two) = Program::echo("two", folder.path());
        let prefix = format!("site-{}", fresh(server).prefix);
        Self { folder, prefix, url: server.url().to_owned(), one, two, _upstreams: [first, second] }
    }

    fn with_store(&self, gateway: Gateway) -> Gateway {
        gateway.with("store.url", &self.url).with("store.prefix", &self.prefix)
    }

    /// Leaders that tell workers of the same port.
    pub(crate) fn leaders(&self) -> [Gateway; 2] {
        let first =
            Gateway::bare_leader(&self.folder.path().join("first")).with("cluster.leader.replicas", 2);
        let second = Gateway::bare_leader(&self.folder.path().join("second"))
            .with("cluster.leader.replicas", 2)
            .with("listeners.0.port", first.port);
        [self.with_store(first), self.with_store(second)]
    }

    pub(crate) fn worker(&self, name: &str, leaders: &[&Gateway]) -> Gateway {
        let worker = Gateway::worker(self.folder.path(), name, leaders[0]);
        leaders.iter().enumerate().skip(1).fold(worker, |worker, (at, leader)| {
            worker.with(&format!("cluster.leader.urls.{at}"), format!("http://127.0.0.1:{}", leader.admin))
        })
    }
}

pub(crate) fn send(gateway: &Gateway, method: &str, path: &str, body: &str) -> e2e::process::Response {
    assert_eq!(CREDENTIALS, ("e2e", "e2e-secret"));
    let headers = [("authorization", "Basic ZTJlOmUyZS1zZWNyZXQ="), ("content-type", "application/json")];
    request(gateway.admin, method, path, &headers, body).unwrap()
}

pub(crate) fn route(id: &str, target: u16) -> String {
    json!({
        "id": id,
        "name": id,
        "frontend": { "domains": [format!("localhost/{id}")] },
        "backend": { "targets": [{ "hostname": "127.0.0.1", "port": target }] },
    })
    .to_string()
}

fn serves(gateway: &Gateway, id: &str, name: &str) -> Option<()> {
    let answer = get(gateway.port, &format!("/{id}")).ok()?;
    (answer.status == 200 && answer.json()["name"] == name).then_some(())
}

/// Either leader takes writes, their workers all have them, and either may die.
fn leaders_share_a_store(server: &Server, kind: &str) {
    let site = Site::on(server);
    let [first, second] = site.leaders();
    let mut processes = [first.start_ready(), second.start_ready()];
    let workers = [
        site.worker("a", &[&first, &second]),
        site.worker("b", &[&second, &first]),
        site.worker("c", &[&first, &second]),
    ];
    let _workers = workers.each_ref().map(Gateway::start_ready);

    assert_eq!(send(&first, "POST", "/api/routes", &route("steady", site.one)).status, 201);
    for worker in &workers {
        until("a write on the first is live", || serves(worker, "steady", "one"));
    }
    let loads =
        workers.each_ref().map(|worker| Load::start(worker.port, &["/steady"], 2, Duration::from_millis(1)));
    for (dies, lives, target) in [(0, &second, site.two), (1, &first, site.one)] {
        processes[dies].kill();
        let (name, id) = (if target == site.one { "one" } else { "two" }, format!("edit-{dies}"));
        assert_eq!(send(lives, "POST", "/api/routes", &route(&id, target)).status, 201);
        let mut longest = Duration::ZERO;
        for worker in &workers {
            let ((), took) =
                until("an edit is live by the leader that is left", || serves(worker, &id, name));
            longest = longest.max(took);
        }
        figure(&format!("stores_{kind}_edit_after_death_ms"), longest.as_millis());
        let again = if dies == 0 { &first } else { &second };
        processes[dies] = again.start_ready();
        until("it has what was written meanwhile", || {
            (send(again, "GET", &format!("/api/routes/{id}"), "").status == 200).then_some(())
        });
    }
    for load in loads {
        until("traffic went on", || (load.served() > 100).then_some(()));
        let report = load.stop();
        assert!(report.failures.is_empty(), "{report:?}");
    }
}

#[test]
fn leaders_share_a_redis() {
    leaders_share_a_store(&REDIS, "redis");
}

#[test]
fn leaders_share_a_postgres() {
    leaders_share_a_store(&POSTGRES, "postgres");
}

#[test]
fn leaders_share_a_cassandra() {
    leaders_share_a_store(&CASSANDRA, "cassandra");
}

#[test]
fn what_is_written_on_one_standalone_is_live_on_the_others() {
    let site = Site::on(&REDIS);
    let all =
        ["a", "b", "c"].map(|name| site.with_store(Gateway::bare_standalone(&site.folder.path().join(name))));
    let _processes = all.each_ref().map(Gateway::start_ready);
    for (at, writer) in all.iter().enumerate() {
        let id = format!("by-{at}");
        assert_eq!(send(writer, "POST", "/api/routes", &route(&id, site.one)).status, 201);
        for gateway in &all {
            until("it is live on each", || serves(gateway, &id, "one"));
            let read = send(gateway, "GET", &format!("/api/routes/{id}"), "");
            assert_eq!(read.json()["id"], *id);
        }
        assert_eq!(
            send(&all[(at + 1) % 3], "PUT", &format!("/api/routes/{id}"), &route(&id, site.two)).status,
            200
        );
        for gateway in &all {
            until("so is a change by another one", || serves(gateway, &id, "two"));
        }
        assert_eq!(send(&all[(at + 2) % 3], "DELETE", &format!("/api/routes/{id}"), "").status, 200);
        for gateway in &all {
            until("and a deletion", || {
                (get(gateway.port, &format!("/{id}")).ok()?.status == 404).then_some(())
            });
        }
    }
}

pub(crate) fn password(server: &Server) -> &str {
    let (user, _) = server.url().rsplit_once('@').unwrap();
    // Where it is the name of the user as well, what is shown would have both.
    user.rsplit_once(':').unwrap().1
}

/// Whether the route is written, by this call or by an earlier one that was told `503`: that may have happened.
fn writes(leader: &Gateway, id: &str, port: u16) -> Option<()> {
    let answer = send(leader, "POST", "/api/routes", &route(id, port));
    (answer.status == 201 || answer.body.contains("already_exists")).then_some(())
}

/// A server that is there and says nothing is as one that isn't.
fn a_store_that_is_silent_takes_no_writes(server: &Server) {
    let site = Site::on(server);
    let [first, second] = site.leaders();
    let _processes = [first.start_ready(), second.start_ready()];
    assert_eq!(send(&first, "POST", "/api/routes", &route("kept", site.one)).status, 201);
    until("both have it", || (send(&second, "GET", "/api/routes/kept", "").status == 200).then_some(()));
    server.pause();
    let refused = send(&first, "POST", "/api/routes", &route("refused", site.one));
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert_eq!(send(&second, "GET", "/api/routes/kept", "").status, 200);
    server.resume();
    until("it writes again", || writes(&first, "again", site.one));
    until("the other leader has it", || {
        (send(&second, "GET", "/api/routes/again", "").status == 200).then_some(())
    });
}

#[test]
fn a_silent_redis_is_as_none() {
    a_store_that_is_silent_takes_no_writes(&ready(Server::redis()));
}

#[test]
fn a_silent_postgres_is_as_none() {
    a_store_that_is_silent_takes_no_writes(&ready(Server::postgres()));
}

#[test]
fn a_silent_cassandra_is_as_none() {
    a_store_that_is_silent_takes_no_writes(&ready(Server::cassandra()));
}

/// Without its store a leader reads and serves, says why it doesn't write, and writes again by itself.
fn a_store_that_is_down_takes_no_writes(server: &Server) {
    let site = Site::on(server);
    let gateway = site.with_store(Gateway::bare_standalone(site.folder.path()));
    let mut process = gateway.start_ready();
    assert_eq!(send(&gateway, "POST", "/api/routes", &route("kept", site.one)).status, 201);
    until("it is served", || serves(&gateway, "kept", "one"));
    let load = Load::start(gateway.port, &["/kept"], 2, Duration::from_millis(1));

    server.kill();
    let refused = send(&gateway, "POST", "/api/routes", &route("refused", site.one));
    assert_eq!(
        (refused.status, &refused.json()["error"]),
        (503, &"store_unavailable".into()),
        "{}",
        refused.body
    );
    assert!(refused.body.contains(&format!(":{}", server.port())), "it says which: {}", refused.body);
    let password = password(server);
    assert!(!refused.body.contains(&format!(":{password}@")), "and no password: {}", refused.body);
    assert_eq!(send(&gateway, "GET", "/api/routes/kept", "").status, 200);
    let is_available =
        |wanted: f64| gateway.metric("komainu_store_available").filter(|available| *available == wanted);
    until("its metrics say so", || is_available(0.0));
    assert!(gateway.metric("komainu_store_failures_total").unwrap() > 0.0);
    server.start();
    until("it writes again", || writes(&gateway, "again", site.one));
    until("its metrics say that, too", || is_available(1.0));
    until("that is served", || serves(&gateway, "again", "one"));
    until("traffic went on", || (load.served() > 50).then_some(()));
    let report = load.stop();
    assert!(report.failures.is_empty(), "{report:?}");

    server.kill();
    process.kill();
    process = gateway.start();
    until("a process that starts without its store says that it isn't ready", || {
        (get(gateway.admin, "/ready").ok()?.status == 503).then_some(())
    });
    server.start();
    until("and is, when the store is there", || {
        (get(gateway.admin, "/ready").ok()?.status == 200).then_some(())
    });
    for id in ["kept", "again"] {
        until("with all that was acknowledged", || serves(&gateway, id, "one"));
    }
    drop(process);
}

#[test]
fn without_redis_there_are_no_writes_and_all_else() {
    a_store_that_is_down_takes_no_writes(&ready(Server::redis()));
}

#[test]
fn without_postgres_there_are_no_writes_and_all_else() {
    a_store_that_is_down_takes_no_writes(&ready(Server::postgres()));
}

#[test]
fn without_cassandra_there_are_no_writes_and_all_else() {
    a_store_that_is_down_takes_no_writes(&ready(Server::cassandra()));
}
