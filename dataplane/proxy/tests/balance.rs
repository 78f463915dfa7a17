//! Which target a request goes to, where it takes the proxy to know: cookies, times to answer, requests in flight.

mod support;

use std::time::Duration;

use dataplane_snapshot::wire::{self, LoadBalancingPolicy as Kind};
use support::client::Answer;
use support::{Client, Setup, Upstream, target};

fn setup(balancing: wire::LoadBalancing, upstreams: &[&Upstream]) -> Setup {
    let targets: Vec<_> = upstreams.iter().map(|upstream| upstream.address()).collect();
    let mut setup = Setup::new(([127, 0, 0, 1], 1).into());
    setup.backend.load_balancing = Some(balancing);
    setup.endpoints.targets = targets.into_iter().map(target).collect();
    setup
}

fn of(kind: Kind) -> wire::LoadBalancing {
    wire::LoadBalancing { policy: kind.into(), ..Default::default() }
}

fn counts(upstreams: &[&Upstream]) -> Vec<usize> {
    upstreams.iter().map(|upstream| upstream.seen().requests.len()).collect()
}

fn with_cookie(client: &mut Client, cookie: &str) -> Answer {
    client.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\nCookie: {cookie}\r\n\r\n")).answer()
}

#[test]
fn a_cookie_brings_a_client_back_until_its_target_is_gone() {
    let upstreams = [Upstream::ok(), Upstream::ok(), Upstream::ok()];
    let all: Vec<_> = upstreams.iter().collect();
    let balancing = wire::LoadBalancing { name: "where".into(), ttl: 60, ..of(Kind::Sticky) };
    let mut gateway = setup(balancing, &all).settings(|settings| settings.threads = 2).start();
    let first = gateway.client().get("/");
    let field = first.field("set-cookie").unwrap();
    let (cookie, attributes) = field.split_once("; ").unwrap();
    assert!(cookie.starts_with("where="), "{field}");
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax; Max-Age=60");
    let home = counts(&all).iter().position(|count| *count == 1).unwrap();
    for _ in 0..8 {
        let answer = with_cookie(&mut gateway.client(), cookie);
        assert_eq!((answer.status, answer.field("set-cookie")), (200, None), "it has its cookie");
    }
    assert_eq!(counts(&all)[home], 9);
    gateway.swap(|setup| {
        setup.endpoints.targets.remove(home);
    });
    let moved = with_cookie(&mut gateway.client(), cookie);
    let new = moved.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_ne!(new, cookie);
    let before = counts(&all);
    assert_eq!(with_cookie(&mut gateway.client(), &new).field("set-cookie"), None);
    assert_eq!(counts(&all).iter().sum::<usize>(), before.iter().sum::<usize>() + 1);
    assert_eq!(counts(&all)[home], 9, "it is gone");
}

#[test]
fn an_upgraded_connection_gets_its_cookie_too() {
    let upstream = Upstream::answering(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    let gateway = setup(of(Kind::Sticky), &[&upstream]).start();
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let answer = gateway.client().send(request).answer();
    assert_eq!(answer.status, 101);
    assert!(answer.field("set-cookie").unwrap().starts_with("komainu-tracking-"), "{}", answer.head);
}

#[test]
fn without_sticky_there_is_no_cookie() {
    let upstream = Upstream::ok();
    let gateway = Setup::new(upstream.address()).start();
    assert_eq!(gateway.client().get("/").field("set-cookie"), None);
}

fn slow(wait: Duration) -> Upstream {
    Upstream::start(move |accepted| {
        while accepted.request().is_some() {
            accepted.pause(wait);
            accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    })
}

#[test]
fn the_target_that_answers_first_gets_the_requests() {
    for kind in [Kind::BestResponseTime, Kind::PowerOfTwoRandomChoices] {
        let upstreams = [slow(Duration::from_millis(100)), Upstream::ok()];
        let all: Vec<_> = upstreams.iter().collect();
        let gateway = setup(of(kind), &all).start();
        let mut client = gateway.client();
        (0..40).for_each(|_| assert_eq!(client.get("/").status, 200));
        let counts = counts(&all);
        assert!(counts[0] <= 2 && counts[1] >= 38, "{kind:?}: {counts:?}");
    }
}

#[test]
fn a_target_that_refuses_is_not_the_fastest() {
    let gone = support::nowhere();
    let upstream = Upstream::ok();
    let mut setup = setup(of(Kind::BestResponseTime), &[&upstream]);
    setup.endpoints.targets.insert(0, target(gone));
    let gateway = setup.start();
    let answers: Vec<_> = (0..20).map(|_| gateway.client().get("/").status).collect();
    let failed = answers.iter().filter(|status| **status != 200).count();
    assert!(failed <= 1, "{answers:?}");
}

#[test]
fn a_request_counts_until_its_body_has_ended() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    let hanging = || {
        Upstream::start(move |accepted| {
            while let Some((request, _)) = accepted.request() {
                accepted.send(head);
                if request.starts_with("GET /slow") {
                    accepted.drain();
                    return;
                }
                accepted.send("ok");
            }
        })
    };
    let upstreams = [hanging(), hanging()];
    let all: Vec<_> = upstreams.iter().collect();
    // One thread has finished with a request before it takes another.
    let gateway = setup(of(Kind::LeastConnections), &all).start();
    let mut open = gateway.client();
    open.send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n").bytes(head.len());
    let busy = counts(&all).iter().position(|count| *count == 1).unwrap();
    for _ in 0..20 {
        assert_eq!(gateway.client().get("/").text(), "ok");
    }
    assert_eq!(counts(&all)[busy], 1, "its head was there long ago, its body isn't");
}

#[test]
fn backups_and_predicates_count_for_real_requests() {
    let (get, post, rest) = (Upstream::ok(), Upstream::ok(), Upstream::ok());
    let all = [&get, &post, &rest];
    let mut setup = setup(of(Kind::RoundRobin), &all);
    let methods = |method: &str| {
        let wanted = wire::RequestMatch { methods: vec![method.to_owned()], ..Default::default() };
        Some(wire::Predicate { kind: Some(wire::PredicateKind::Request(wanted)) })
    };
    setup.endpoints.targets[0].predicate = methods("GET");
    setup.endpoints.targets[1].predicate = methods("POST");
    setup.endpoints.targets[2].backup = true;
    let gateway = setup.start();
    for (method, expected) in [("GET", [4, 0, 0]), ("POST", [4, 4, 0]), ("PUT", [4, 4, 4])] {
        for _ in 0..4 {
            let request = format!("{method} / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(gateway.client().send(request).answer().status, 200);
        }
        assert_eq!(counts(&all), expected, "{method}");
    }
}
