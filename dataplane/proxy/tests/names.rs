//! Host names of targets, looked up with a real DNS server: when, what becomes of a change, and which addresses are used.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails here fails the test"
)]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use dataplane_proxy::{LookupOutcome, Reason};
use dataplane_snapshot::wire::{self, ProxyProtocol};
use support::forward_proxy::through;
use support::{Dns, Gateway, Says, Setup, Upstream, eventually, target};

const NAME: &str = "users.test";
const CLOSING: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
const KEPT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Upstreams on one port of several addresses, each giving this answer.
fn upstreams<const N: usize>(answer: &'static str, ips: [&str; N]) -> [Upstream; N] {
    let mut port = 0;
    ips.map(|ip| {
        let upstream = Upstream::on(SocketAddr::new(ip.parse().unwrap(), port), move |accepted| {
            while accepted.request().is_some() {
                accepted.send(answer);
            }
        });
        port = upstream.address().port();
        upstream
    })
}

fn connections(upstreams: &[Upstream]) -> Vec<usize> {
    upstreams.iter().map(|upstream| upstream.seen().connections).collect()
}

/// Puts a new file in the place of one, as the system does: what is read while a file is written may be empty.
fn replace(path: &Path, text: &str) {
    let fresh = path.with_extension("fresh");
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(&fresh, path).unwrap();
}

/// A request on a connection of its own to a target that closes.
fn get(gateway: &Gateway) -> u16 {
    gateway.client().get("/").status
}

/// Makes requests until one gets this answer.
fn until(gateway: &Gateway, status: u16) {
    eventually(|| (get(gateway) == status).then_some(()));
}

#[test]
fn connections_go_round_all_addresses() {
    let dns = Dns::start();
    let all = upstreams(CLOSING, ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    dns.leads(NAME, &["127.0.0.3", "127.0.0.1", "127.0.0.2"]);
    let gateway = Setup::new(all[0].address()).named(NAME, &dns).start();
    for _ in 0..9 {
        assert_eq!(get(&gateway), 200);
    }
    assert_eq!(connections(&all), [3, 3, 3]);
}

/// Nobody listens on the second address, nor on that of IPv6.
#[test]
fn a_dead_address_costs_one_attempt_and_no_request() {
    let dns = Dns::start();
    let [alive] = upstreams(CLOSING, ["127.0.0.1"]);
    dns.leads(NAME, &["127.0.0.1", "127.0.0.2", "::1"]);
    let gateway = Setup::new(alive.address()).named(NAME, &dns).start();
    for _ in 0..12 {
        assert_eq!(
            gateway.client().send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").answer().status,
            200
        );
    }
    let stats = gateway.proxy.stats();
    assert_eq!((stats.upstream_connects, stats.reason(Reason::ConnectionFailed)), (14, 0));
    assert_eq!(stats.names_failing, 0);
}

/// The first address refuses the first way, nobody listens on the second.
#[test]
fn what_one_address_of_a_forward_proxy_was_told_says_nothing_of_the_next() {
    let dns = Dns::start();
    let proxy = Upstream::on("127.0.0.1:0".parse().unwrap(), |accepted| {
        assert!(accepted.request().is_some());
        if accepted.index == 0 {
            accepted.send("HTTP/1.1 502 No\r\n\r\n");
            return;
        }
        accepted.send("HTTP/1.1 200 Yes\r\n\r\n");
        while accepted.request().is_some() {
            accepted.send(CLOSING);
        }
    });
    dns.leads("proxy.test", &["127.0.0.1", "127.0.0.2"]);
    let setup = through(Setup::new(proxy.address()).named(NAME, &dns), ProxyProtocol::Http, proxy.address());
    let gateway = setup.client(|client| client.proxy.as_mut().unwrap().host = "proxy.test".into()).start();
    assert_eq!(get(&gateway), 502);
    for _ in 0..6 {
        assert_eq!(get(&gateway), 200);
    }
    assert_eq!(gateway.proxy.stats().upstream_connects, 2 + 6, "the second address was tried again");
}

#[test]
fn a_time_to_live_is_honoured() {
    let dns = Dns::start();
    let upstream = Upstream::ok();
    let ips = vec![upstream.address().ip()];
    dns.says("short.test", Says::Addresses(1, ips.clone()));
    dns.says("long.test", Says::Addresses(60, ips.clone()));
    dns.says("bounded.test", Says::Addresses(86_400, ips));
    let mut setup = Setup::new(upstream.address()).named("short.test", &dns).target(upstream.address());
    setup.endpoints.targets[1].id = "long".into();
    setup.endpoints.targets[1].hostname = "long.test".into();
    let gateway = setup.start();
    let begin = Instant::now();
    (0..4).for_each(|_| assert_eq!(get(&gateway), 200));
    eventually(|| (dns.asked("short.test") == 3).then_some(()));
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(1_800), "twice 90 % of a second: {took:?}");
    assert_eq!(dns.asked("long.test"), 1);

    let setup = Setup::new(upstream.address()).named("bounded.test", &dns);
    let gateway = setup.settings(|settings| settings.names.max_ttl = Duration::from_millis(50)).start();
    assert_eq!(get(&gateway), 200);
    eventually(|| (dns.asked("bounded.test") >= 3).then_some(()));
}

#[test]
fn connections_to_an_address_that_went_away_are_drained() {
    let dns = Dns::start();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let old = Upstream::start(move |accepted| {
        while let Some((head, _)) = accepted.request() {
            if head.starts_with("GET /slow") {
                released.lock().unwrap().recv().unwrap();
            }
            accepted.send(KEPT);
        }
    });
    let new = Upstream::on(SocketAddr::new("127.0.0.2".parse().unwrap(), old.address().port()), |accepted| {
        while accepted.request().is_some() {
            accepted.send(KEPT);
        }
    });
    dns.leads(NAME, &["127.0.0.1"]);
    let gateway = Setup::new(old.address()).named(NAME, &dns).start();
    let mut slow = gateway.client();
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    old.wait(|seen| seen.requests.len() == 1);
    assert_eq!(get(&gateway), 200);
    gateway.stats(|stats| (stats.upstream_used, stats.upstream_idle) == (1, 1));
    dns.leads(NAME, &["127.0.0.2"]);
    old.wait(|seen| seen.closed == 1);
    assert_eq!(get(&gateway), 200);
    assert_eq!((old.seen().requests.len(), new.seen().requests.len()), (2, 1));
    release.send(()).unwrap();
    assert_eq!(slow.answer().status, 200, "what was under way ends well");
    old.wait(|seen| seen.closed == 2);
    let stats = gateway.stats(|stats| stats.upstream_used == 0);
    assert_eq!(stats.upstream_idle, 1);
}

#[test]
fn what_can_not_be_looked_up_is_used_on() {
    let dns = Dns::start();
    let [first, second] = upstreams(CLOSING, ["127.0.0.1", "127.0.0.2"]);
    dns.leads(NAME, &["127.0.0.1"]);
    let resolv_conf = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&resolv_conf, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n").unwrap();
    let gateway = Setup::new(first.address())
        .named(NAME, &dns)
        .settings(|settings| settings.names.resolv_conf = resolv_conf.path().to_owned())
        .start();
    assert_eq!(get(&gateway), 200);
    for trouble in [Says::Failure, Says::Nothing] {
        let before = gateway.proxy.stats().lookup(LookupOutcome::Failed);
        dns.says(NAME, trouble);
        gateway.stats(|stats| stats.lookup(LookupOutcome::Failed) >= before + 2);
        assert_eq!(get(&gateway), 200);
        assert_eq!(gateway.proxy.stats().names_failing, 1);
    }
    dns.leads(NAME, &["127.0.0.2"]);
    gateway.stats(|stats| stats.names_failing == 0);
    assert_eq!(get(&gateway), 200);
    assert_eq!((first.seen().connections, second.seen().connections), (3, 1));
}

#[test]
fn a_failure_for_one_kind_of_addresses_keeps_that_kind() {
    let dns = Dns::start();
    let all = upstreams(CLOSING, ["127.0.0.1", "::1"]);
    dns.leads(NAME, &["127.0.0.1", "::1"]);
    let gateway = Setup::new(all[0].address()).named(NAME, &dns).start();
    assert_eq!(get(&gateway), 200);
    dns.says(NAME, Says::OnlyV4(0, vec!["127.0.0.1".parse().unwrap()]));
    gateway.stats(|stats| stats.names_failing == 1);
    (0..5).for_each(|_| assert_eq!(get(&gateway), 200));
    assert_eq!(connections(&all), [3, 3]);
}

#[test]
fn a_name_that_does_not_exist_is_said_so_until_it_does() {
    let dns = Dns::start();
    let [upstream] = upstreams(CLOSING, ["127.0.0.1"]);
    let gateway = Setup::new(upstream.address()).named(NAME, &dns).start();
    let answer = gateway.client().get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "resolve_failed"));
    assert!(answer.text().contains("users.test: there is no such name"), "{}", answer.text());
    // Whoever asks now isn't kept waiting for a server, even if it says nothing.
    dns.says(NAME, Says::Nothing);
    assert_eq!(get(&gateway), 502);
    assert_eq!((gateway.proxy.stats().names, gateway.proxy.stats().names_failing), (1, 1));
    dns.leads(NAME, &["127.0.0.1"]);
    until(&gateway, 200);
    assert_eq!(gateway.proxy.stats().names_failing, 0);
}

#[test]
fn a_name_that_is_said_to_be_gone_is_held_and_then_given_up() {
    let dns = Dns::start();
    let [upstream] = upstreams(KEPT, ["127.0.0.1"]);
    dns.leads(NAME, &["127.0.0.1"]);
    let gateway = Setup::new(upstream.address())
        .named(NAME, &dns)
        .settings(|settings| settings.names.hold = Duration::from_millis(1_500))
        .start();
    assert_eq!(get(&gateway), 200);
    let begin = Instant::now();
    dns.says(NAME, Says::NoSuchName);
    gateway.stats(|stats| stats.names_failing == 1);
    assert_eq!(upstream.seen().closed, 0, "a name that comes back in time has lost nothing");
    upstream.wait(|seen| seen.closed == 1);
    assert!(begin.elapsed() >= Duration::from_millis(1_500));
    let answer = gateway.client().get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "resolve_failed"));
    dns.leads(NAME, &["127.0.0.1"]);
    until(&gateway, 200);
}

#[test]
fn an_answer_that_is_too_long_is_asked_for_by_tcp() {
    let dns = Dns::start();
    let [upstream] = upstreams(CLOSING, ["127.0.0.1"]);
    dns.says(NAME, Says::Long(60, vec!["127.0.0.1".parse().unwrap()]));
    let gateway = Setup::new(upstream.address()).named(NAME, &dns).start();
    assert_eq!(get(&gateway), 200);
    let by = |tcp| dns.questions().iter().filter(|question| !question.v6 && question.tcp == tcp).count();
    assert_eq!((by(false), by(true)), (1, 1));
}

#[test]
fn names_of_the_hosts_file_and_localhost_need_no_server() {
    let dns = Dns::start();
    let [upstream, other] = upstreams(CLOSING, ["127.0.0.1", "127.0.0.2"]);
    let hosts = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&hosts, "127.0.0.1 Users.Test alias # 127.0.0.3 users.test\n").unwrap();
    let mut setup = Setup::new(upstream.address()).named(NAME, &dns);
    for name in ["alias", "localhost", "site.localhost"] {
        let more = wire::Target { id: name.into(), hostname: name.into(), ..target(upstream.address()) };
        setup.endpoints.targets.push(more);
    }
    let gateway = setup.settings(|settings| settings.names.hosts = hosts.path().to_owned()).start();
    for _ in 0..4 {
        assert_eq!(get(&gateway), 200);
    }
    replace(hosts.path(), "127.0.0.2 users.test alias\n");
    eventually(|| {
        assert_eq!(get(&gateway), 200);
        (other.seen().connections > 0).then_some(())
    });
    assert_eq!(dns.questions(), []);
}

#[test]
fn the_search_list_of_the_system_is_followed_when_it_changes() {
    let dns = Dns::start();
    let [first, second] = upstreams(CLOSING, ["127.0.0.1", "127.0.0.2"]);
    dns.says("users.first.test", Says::Addresses(60, vec!["127.0.0.1".parse().unwrap()]));
    dns.says("users.second.test", Says::Addresses(60, vec!["127.0.0.2".parse().unwrap()]));
    let resolv_conf = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&resolv_conf, "search none.test first.test second.test\n").unwrap();
    let gateway = Setup::new(first.address())
        .named("users", &dns)
        .settings(|settings| settings.names.resolv_conf = resolv_conf.path().to_owned())
        .start();
    assert_eq!(get(&gateway), 200);
    assert_eq!(
        ["users.none.test", "users.first.test", "users.second.test", "users"].map(|name| dns.asked(name)),
        [1, 1, 0, 0]
    );
    replace(resolv_conf.path(), "search second.test\n");
    eventually(|| {
        assert_eq!(get(&gateway), 200);
        (second.seen().connections > 0).then_some(())
    });
}

#[test]
fn a_name_that_nobody_uses_is_forgotten() {
    let dns = Dns::start();
    let [upstream] = upstreams(KEPT, ["127.0.0.1"]);
    dns.leads(NAME, &["127.0.0.1"]);
    let gateway = Setup::new(upstream.address())
        .named(NAME, &dns)
        .client(|client| client.idle_timeout = 2_000)
        .settings(|settings| settings.names.forget_after = Duration::from_millis(50))
        .start();
    assert_eq!(get(&gateway), 200);
    gateway.stats(|stats| stats.lookup(LookupOutcome::Found) >= 10);
    assert_eq!(upstream.seen().closed, 0, "it is in use as long as something is connected");
    assert_eq!(gateway.proxy.stats().names, 1);
    upstream.wait(|seen| seen.closed == 1);
    let forgotten = gateway.stats(|stats| stats.names == 0);
    assert_eq!(get(&gateway), 200);
    assert!(gateway.proxy.stats().lookup(LookupOutcome::Found) > forgotten.lookup(LookupOutcome::Found));
}

#[test]
fn probes_go_round_by_themselves() {
    let dns = Dns::start();
    let all = upstreams(CLOSING, ["127.0.0.1", "127.0.0.2"]);
    dns.leads(NAME, &["127.0.0.1", "127.0.0.2"]);
    let mut setup = Setup::new(all[0].address()).named(NAME, &dns);
    let check = wire::HealthCheck { url: "/".into(), interval: 10, timeout: 1_000, ..Default::default() };
    setup.backend.health_check = Some(check.into());
    let _gateway = setup.start();
    all.iter().for_each(|upstream| drop(upstream.wait(|seen| seen.connections >= 3)));
}

/// Of questions that the server never answers, how many are asked at a time.
fn unanswered(dns: &Dns, since: usize) -> usize {
    let questions = dns.questions();
    let asked = questions[since..].iter().filter(|question| question.name.starts_with("known"));
    let mut asked: Vec<_> = asked.map(|question| (question.name.as_str(), question.v6)).collect();
    asked.sort_unstable();
    asked.dedup();
    asked.len()
}

#[test]
fn many_names_are_no_storm_and_a_new_one_does_not_wait_for_them() {
    const NAMES: usize = 300;
    let dns = Dns::start();
    let [upstream] = upstreams(CLOSING, ["127.0.0.1"]);
    let mut setup = Setup::new(upstream.address()).named(NAME, &dns);
    let named = |name: String| {
        dns.leads(&name, &["127.0.0.1"]);
        wire::Target { id: name.clone(), hostname: name, ..target(upstream.address()) }
    };
    setup.endpoints.targets = (0..NAMES).map(|index| named(format!("known{index}.test"))).collect();
    let mut gateway = setup
        .settings(|settings| {
            settings.names.min_ttl = Duration::from_millis(500);
            settings.names.forget_after = Duration::from_secs(3_600);
        })
        .start();
    let mut client = gateway.client();
    (0..NAMES).for_each(|_| assert_eq!(client.get("/").status, 200));
    assert_eq!(gateway.proxy.stats().names, NAMES as u64);
    let before = dns.silence("known");
    // Sixteen look-ups, each with a question or two of which no answer comes any more.
    eventually(|| (unanswered(&dns, before) >= 16).then_some(()));
    let new = named("new.test".to_owned());
    gateway.swap(|setup| setup.endpoints.targets = vec![new]);
    assert_eq!(get(&gateway), 200);
    // A few had one kind of addresses answered just before, and make room for others.
    assert!(unanswered(&dns, before) <= 64, "{}", unanswered(&dns, before));
}
