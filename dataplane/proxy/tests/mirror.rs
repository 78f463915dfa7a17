//! Copies of requests for mirrors, and that the requests themselves never notice.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here fails the test")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dataplane_proxy::{MirrorOutcome, Stats};
use dataplane_snapshot::wire::{self, FilterKind, FilterSettings};
use support::tls::{self, Authority, TlsUpstream};
use support::upstream::Accepted;
use support::{
    Gateway, Http2Upstream, PATIENCE, Setup, Upstream, block_on, dechunk, eventually, http2, nowhere,
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// Bytes of a body that are kept for mirrors.
const MOST: usize = 64 * 1024;

fn share(numerator: u32, denominator: u32) -> Option<wire::Fraction> {
    Some(wire::Fraction { numerator, denominator })
}

/// Copies of `share` to the backend `name`, which may be missing.
fn mirrored(setup: Setup, name: &str, share: Option<wire::Fraction>) -> Setup {
    let mirror = wire::RequestMirror { backend: format!("backend/default/{name}"), share };
    setup.filter(FilterSettings::Mirror(mirror).of(FilterKind::Mirror))
}

fn other(mut setup: Setup, targets: &[SocketAddr]) -> Setup {
    let backend = wire::Backend { root: "/".into(), ..Default::default() };
    let targets = targets.iter().map(|address| support::target(*address)).collect();
    setup.others.push(("shadow", backend, wire::Endpoints { targets }));
    setup
}

/// All requests to `real`, and copies of all to the backend `shadow`.
fn setup(real: SocketAddr, shadow: SocketAddr) -> Setup {
    mirrored(other(Setup::new(real), &[shadow]), "shadow", None)
}

/// Changes the backend that gets the copies.
fn shadow(mut setup: Setup, change: impl FnOnce(&mut wire::ClientSettings)) -> Setup {
    change(setup.others[0].1.client.get_or_insert_default());
    setup
}

/// Waits until as many copies came to this end.
fn ended(gateway: &Gateway, outcome: MirrorOutcome, count: u64) -> Stats {
    gateway.stats(|stats| stats.mirror(outcome) == count && stats.mirrors_active == 0)
}

/// Takes requests and never answers.
fn silent() -> Upstream {
    Upstream::start(|accepted| while accepted.request().is_some() {})
}

fn post(framing: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("POST /a%20b?c=d HTTP/1.1\r\nHost: a.test:81\r\nX-One: 1\r\nX-one: 2\r\n{framing}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn plain(body: &[u8]) -> Vec<u8> {
    post(&format!("Content-Length: {}", body.len()), body)
}

fn chunked(pieces: &[&[u8]], end: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for piece in pieces {
        body.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        body.extend_from_slice(piece);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("0\r\n{end}\r\n").as_bytes());
    post("Transfer-Encoding: chunked", &body)
}

#[test]
fn a_mirror_gets_what_the_target_gets() {
    for threads in [1, 4] {
        let (real, mirror) = (Upstream::ok(), Upstream::ok());
        let gateway =
            setup(real.address(), mirror.address()).settings(|settings| settings.threads = threads).start();
        let body: Vec<u8> = (0..MOST).map(|index| (index % 251) as u8).collect();
        let requests = [
            b"GET /x?y HTTP/1.1\r\nHost: a.test\r\nCookie: a=b\r\nConnection: x-own\r\nX-Own: 1\r\n\r\n"
                .to_vec(),
            b"HEAD / HTTP/1.0\r\nHost: a.test\r\n\r\n".to_vec(),
            plain(b"abc"),
            plain(&body),
            post("Content-Length: 0", b""),
        ];
        for (index, request) in requests.iter().enumerate() {
            let mut client = gateway.client();
            client.send(request);
            let answer = if index == 1 { client.answer_to_head() } else { client.answer() };
            assert_eq!(answer.status, 200);
            let copies = mirror.wait(|seen| seen.requests.len() == index + 1).requests;
            assert_eq!(copies[index], real.seen().requests[index]);
        }
        ended(&gateway, MirrorOutcome::Answered, 5);
        assert_eq!(real.seen().requests.len(), 5);
        let stats = gateway.stats(|stats| stats.responses[2] >= 5 && stats.active == 0);
        assert_eq!(stats.responses[2], 5, "copies aren't counted as requests");
    }
}

#[test]
fn a_chunked_body_is_mirrored_once_it_is_whole() {
    let (real, mirror) = (Upstream::ok(), Upstream::ok());
    let gateway = setup(real.address(), mirror.address()).start();
    let mut client = gateway.client();
    let request = chunked(&[b"one", b", two"], "");
    let (front, back) = request.split_at(request.len() - 8);
    client.send(front);
    real.wait(|seen| seen.bytes.ends_with(b", tw\r\n"));
    assert_eq!(mirror.seen().connections, 0);
    assert_eq!(client.send(back).answer().status, 200);
    let copy = mirror.wait(|seen| seen.requests.len() == 1).requests.remove(0);
    let sent = real.seen().requests.remove(0);
    assert_eq!((copy.0, dechunk(&copy.1)), (sent.0, dechunk(&sent.1)));
    assert_eq!(dechunk(&copy.1), b"one, two");
    let empty = chunked(&[], "");
    assert_eq!(client.send(empty).answer().status, 200);
    mirror.wait(|seen| seen.requests.len() == 2 && dechunk(&seen.requests[1].1).is_empty());
}

#[test]
fn a_broken_mirror_is_not_noticed() {
    type Script = fn(&mut Accepted);
    let scripts: [(Script, MirrorOutcome); 6] = [
        (|accepted| while accepted.request().is_some() {}, MirrorOutcome::Failed),
        (|_| {}, MirrorOutcome::Failed),
        (|accepted| drop(accepted.head()), MirrorOutcome::Failed),
        (
            |accepted| {
                accepted.request();
                accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok");
            },
            MirrorOutcome::Failed,
        ),
        (
            |accepted| {
                accepted.request();
                accepted.send("nonsense\r\n\r\n");
            },
            MirrorOutcome::Failed,
        ),
        (
            |accepted| {
                accepted.request();
                accepted.send("HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            },
            MirrorOutcome::Answered,
        ),
    ];
    let mirrors: Vec<_> =
        scripts.into_iter().map(|(script, outcome)| (Upstream::start(script).address(), outcome)).collect();
    for (address, outcome) in mirrors.into_iter().chain([(nowhere(), MirrorOutcome::Failed)]) {
        let real = Upstream::ok();
        let timeout = if outcome == MirrorOutcome::Failed { 50 } else { 0 };
        let setup = shadow(setup(real.address(), address), |client| client.call_timeout = timeout);
        let gateway = setup.start();
        let mut client = gateway.client();
        for request in [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), plain(b"abc"), chunked(&[b"a"], "")] {
            let answer = client.send(request).answer();
            assert_eq!((answer.status, answer.text()), (200, "ok"));
        }
        ended(&gateway, outcome, 3);
        let stats = gateway.stats(|stats| stats.responses[2] == 3);
        assert_eq!((stats.accepted, stats.panics), (1, 0));
        assert!(stats.reasons.iter().all(|(_, count)| *count == 0), "{:?}", stats.reasons);
    }
}

#[test]
fn nobody_waits_for_a_mirror() {
    let (real, mirror) = (Upstream::ok(), silent());
    let gateway = setup(real.address(), mirror.address()).start();
    let mut client = gateway.client();
    for _ in 0..300 {
        assert_eq!(client.get("/").status, 200);
    }
    let stats = gateway.stats(|stats| stats.mirrors_active == 256);
    assert_eq!(stats.mirror(MirrorOutcome::TooMany), 44, "no more are on their way at a time");
    mirror.wait(|seen| seen.requests.len() == 256);
    drop(client);
    gateway.stats(|stats| stats.active == 0);
    let report = block_on(gateway.proxy.drain(PATIENCE * 10));
    assert_eq!(report.forced, 0, "nor does a drain");
    drop(gateway);
    mirror.wait(|seen| seen.closed == 256);
}

#[test]
fn a_request_that_fails_is_mirrored_all_the_same() {
    let closing = Upstream::start(|accepted| drop(accepted.request()));
    for (real, expected) in [(Some(nowhere()), 502), (Some(closing.address()), 502), (None, 503)] {
        let mirror = Upstream::ok();
        let mut setup = setup(nowhere(), mirror.address());
        setup.endpoints.targets = real.into_iter().map(support::target).collect();
        let gateway = setup.start();
        let get = || b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
        for (index, request) in [get(), plain(b"abc"), chunked(&[b"a", b"bc"], "")].into_iter().enumerate() {
            assert_eq!(gateway.client().send(request).answer().status, expected);
            let body = mirror.wait(|seen| seen.requests.len() == index + 1).requests.remove(index).1;
            assert_eq!(if index == 2 { dechunk(&body) } else { body }, [&b""[..], b"abc", b"abc"][index]);
        }
        ended(&gateway, MirrorOutcome::Answered, 3);
    }
}

#[test]
fn a_retried_request_is_mirrored_once() {
    let mirror = Upstream::ok();
    let real = Upstream::start(|accepted| {
        accepted.request();
        if accepted.index > 1 {
            accepted.send(OK);
        }
    });
    let gateway = setup(real.address(), mirror.address()).retries(3).start();
    let request = String::from_utf8(plain(b"abc")).unwrap().replacen("POST", "PUT", 1);
    assert_eq!(gateway.client().send(request).answer().status, 200);
    assert_eq!(real.seen().requests.len(), 3);
    ended(&gateway, MirrorOutcome::Answered, 1);
    let seen = mirror.seen().requests;
    assert_eq!(seen, real.seen().requests[..1]);
}

#[test]
fn what_is_not_mirrored_is_counted() {
    let real = Upstream::start(|accepted| {
        while let Some((head, _)) = accepted.request() {
            accepted.send(if head.starts_with("GET /ws") {
                "HTTP/1.1 426 No\r\nContent-Length: 0\r\n\r\n"
            } else {
                OK
            });
        }
    });
    let mirror = Upstream::ok();
    let gateway = setup(real.address(), mirror.address()).start();
    let large = vec![b'x'; MOST + 1];
    let ws = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut expected = std::collections::BTreeMap::new();
    for (request, outcome) in [
        (plain(&large), MirrorOutcome::BodyTooLarge),
        (chunked(&[&large], ""), MirrorOutcome::BodyTooLarge),
        (chunked(&[b"a"], "X-Sum: 1\r\n"), MirrorOutcome::BodyTooLarge),
        (post("Content-Type: application/grpc\r\nContent-Length: 1", b"x"), MirrorOutcome::Grpc),
        (ws.into(), MirrorOutcome::Upgrade),
    ] {
        assert_ne!(gateway.client().send(request).answer().status, 502);
        let count = expected.entry(outcome.as_str()).or_insert(0);
        *count += 1;
        ended(&gateway, outcome, *count);
    }
    assert_eq!(mirror.seen().connections, 0);
}

#[test]
fn a_body_that_never_becomes_whole_is_not_mirrored() {
    let real = Upstream::start(|accepted| {
        accepted.head();
        accepted.send("HTTP/1.1 413 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
    let mirror = Upstream::ok();
    let gateway = setup(real.address(), mirror.address()).start();
    let answer = gateway.client().send(post("Content-Length: 9", b"front")).answer();
    assert_eq!(answer.status, 413);
    ended(&gateway, MirrorOutcome::BodyIncomplete, 1);
    assert_eq!(mirror.seen().connections, 0);
}

#[test]
fn a_body_that_its_client_breaks_off_is_not_mirrored() {
    let (real, mirror) = (silent(), Upstream::ok());
    let gateway = setup(real.address(), mirror.address()).start();
    let mut client = gateway.client();
    client.send(chunked(&[b"abc"], "").split_last().unwrap().1);
    gateway.stats(|stats| stats.mirrors_active == 1);
    drop(client);
    ended(&gateway, MirrorOutcome::BodyIncomplete, 1);
    assert_eq!(mirror.seen().connections, 0);
}

#[test]
fn the_mirrors_backend_says_where_and_how() {
    let (real, mirror) = (Upstream::ok(), Upstream::ok());
    let mut setup = setup(real.address(), mirror.address()).filter(FilterKind::OverrideHost);
    setup.others[0].1.root = "/copies/${req.id}".into();
    setup.backend.root = "/${req.id}".into();
    let gateway = setup.start();
    assert_eq!(gateway.client().get("/a?b").status, 200);
    let copy = mirror.wait(|seen| seen.requests.len() == 1).requests.remove(0).0;
    let sent = real.last();
    let line = |head: &str| head.lines().next().unwrap().to_owned();
    assert_eq!(line(&copy), line(&sent).replacen(" /", " /copies/", 1));
    assert_eq!(support::field(&copy, "host"), Some(&*mirror.address().to_string()));
    assert_eq!(support::field(&copy, "x-forwarded-host"), Some("a.test"));
}

#[test]
fn a_missing_mirror_is_counted() {
    let real = Upstream::ok();
    let gateway = mirrored(Setup::new(real.address()), "nowhere", None).start();
    assert_eq!(gateway.client().get("/").status, 200);
    ended(&gateway, MirrorOutcome::NoBackend, 1);
}

#[test]
fn a_share_is_mirrored() {
    for threads in [1, 4] {
        let (real, mirror) = (Upstream::ok(), Upstream::ok());
        let setup = other(Setup::new(real.address()), &[mirror.address()]);
        let setup = mirrored(mirrored(setup, "shadow", share(1, 4)), "shadow", share(0, 1));
        let gateway = setup.settings(|settings| settings.threads = threads).start();
        let mut clients: Vec<_> = (0..8).map(|_| gateway.client()).collect();
        for _ in 0..100 {
            clients.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
        }
        let stats = gateway.stats(|stats| stats.mirrors_active == 0 && stats.responses[2] == 800);
        let copies = stats.mirror(MirrorOutcome::Answered);
        // 200, give or take six standard deviations.
        assert!((126..=274).contains(&copies), "{copies} of 800");
        assert_eq!(mirror.seen().requests.len() as u64, copies);
    }
}

#[test]
fn several_mirrors_get_copies_each() {
    let (real, mirror) = (Upstream::ok(), Upstream::ok());
    let setup = mirrored(setup(real.address(), mirror.address()), "shadow", None);
    let gateway = mirrored(setup, "nowhere", None).start();
    assert_eq!(gateway.client().send(plain(b"abc")).answer().status, 200);
    ended(&gateway, MirrorOutcome::Answered, 2);
    ended(&gateway, MirrorOutcome::NoBackend, 1);
    let seen = mirror.seen().requests;
    assert!(seen.len() == 2 && seen[0] == seen[1] && seen[0].1 == b"abc", "{seen:?}");
}

#[test]
fn copies_are_balanced_and_stopped_by_the_mirrors_own_breaker() {
    for threads in [1, 4] {
        let (real, good) = (Upstream::ok(), Upstream::ok());
        let bad = Upstream::answering("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
        let setup =
            mirrored(other(Setup::new(real.address()), &[good.address(), bad.address()]), "shadow", None);
        let setup = shadow(setup, |client| {
            let breaker = wire::Breaker { max_errors: 3, interval: 600_000, server_errors: true };
            client.breaker = Some(breaker);
        });
        let gateway = setup.settings(|settings| settings.threads = threads).start();
        for count in 1..=20 {
            assert_eq!(gateway.client().get("/").status, 200);
            ended(&gateway, MirrorOutcome::Answered, count);
        }
        assert_eq!((bad.seen().requests.len(), good.seen().requests.len()), (3, 17));
        let open = gateway.proxy.open_breakers();
        assert!(open.len() == 1 && open[0].0.name() == "shadow", "{open:?}");
        assert_eq!(real.seen().requests.len(), 20);
    }
}

#[test]
fn a_copy_is_never_retried() {
    let real = Upstream::ok();
    let mirror = Upstream::answering("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    let setup = shadow(setup(real.address(), mirror.address()), |client| {
        let statuses = vec![503];
        client.retries = Some(wire::Retries { count: 3, initial_delay: 1, statuses, ..Default::default() });
    });
    let gateway = setup.start();
    assert_eq!(gateway.client().get("/").status, 200);
    ended(&gateway, MirrorOutcome::Answered, 1);
    assert_eq!(mirror.seen().requests.len(), 1);
}

#[test]
fn a_kept_connection_that_a_mirror_closed_is_made_up_for() {
    let real = Upstream::ok();
    let mirror = Upstream::start(|accepted| {
        accepted.request();
        accepted.send(OK);
        accepted.request();
    });
    let gateway = setup(real.address(), mirror.address()).start();
    for count in 1..=3 {
        assert_eq!(gateway.client().get("/").status, 200);
        ended(&gateway, MirrorOutcome::Answered, count);
    }
    assert!(gateway.proxy.stats().upstream_resends >= 1);
}

#[test]
fn requests_of_http_2_are_mirrored() {
    let (real, mirror) = (Upstream::ok(), Upstream::ok());
    let gateway = setup(real.address(), mirror.address()).start();
    block_on(async {
        let mut client = http2::Http2::connect(gateway.address()).await;
        assert_eq!(client.get("/get?a").await.status, 200);
        let post = http2::request(http::Method::POST, "/post").header("x-one", "1").body(()).unwrap();
        assert_eq!(client.put(post, b"body").await.status, 200);
    });
    let copies = mirror.wait(|seen| seen.requests.len() == 2).requests;
    assert_eq!(copies[0], real.seen().requests[0]);
    assert_eq!((&copies[1].0, dechunk(&copies[1].1)), (&real.seen().requests[1].0, b"body".to_vec()));
    ended(&gateway, MirrorOutcome::Answered, 2);
}

#[test]
fn a_mirror_can_speak_http_2() {
    let real = Upstream::ok();
    let mirror = Http2Upstream::start(|mut asked| async move {
        let (body, _) = asked.read().await;
        assert_eq!(body, b"abc");
        asked.answer("ignored");
    });
    let mut setup = setup(real.address(), mirror.address());
    setup.others[0].2.targets[0].protocol = wire::Protocol::Http2.into();
    let gateway = setup.start();
    for request in [plain(b"abc"), chunked(&[b"ab", b"c"], "")] {
        assert_eq!(gateway.client().send(request).answer().text(), "ok");
    }
    let stats = ended(&gateway, MirrorOutcome::Answered, 2);
    assert_eq!(stats.mirror(MirrorOutcome::Failed), 0);
    let seen = mirror.seen();
    assert_eq!(seen.connections, 1);
    assert!(
        seen.requests.iter().all(|request| request.method() == "POST" && request.uri().path() == "/a%20b")
    );
}

#[test]
fn a_mirror_can_speak_tls() {
    let authority = Authority::new("authority");
    let mirror = TlsUpstream::start(&authority.issue(&["shadow.test"]), tls::ServerSettings::default());
    let real = Upstream::ok();
    let mut setup = setup(real.address(), mirror.address());
    let target = &mut setup.others[0].2.targets[0];
    (target.ip_address, target.hostname) = (mirror.address().ip().to_string(), "shadow.test".into());
    target.tls = Some(tls::trusting("authority"));
    setup.certificates.push(("authority", authority.identity()));
    let gateway = setup.start();
    assert_eq!(gateway.client().send(plain(b"abc")).answer().text(), "ok");
    ended(&gateway, MirrorOutcome::Answered, 1);
    assert_eq!(mirror.seen().requests.len(), 1);
}

#[test]
fn a_mirrors_endless_answer_is_not_read() {
    let real = Upstream::ok();
    let mirror = Upstream::start(|accepted| {
        accepted.request();
        accepted.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
        accepted.drain();
    });
    let gateway = setup(real.address(), mirror.address()).start();
    assert_eq!(gateway.client().get("/").text(), "ok");
    ended(&gateway, MirrorOutcome::Answered, 1);
    mirror.wait(|seen| seen.closed == 1);
}

/// A mirror's answer has its own limit, however long the rest takes.
#[test]
fn a_mirrors_answer_is_read_for_as_long_as_its_backend_says() {
    let real = Upstream::ok();
    let mirror = Upstream::start(|accepted| {
        accepted.request();
        accepted.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
        accepted.drain();
    });
    let setup = shadow(setup(real.address(), mirror.address()), |client| client.call_and_stream_timeout = 50);
    let gateway = setup.start();
    assert_eq!(gateway.client().get("/").text(), "ok");
    ended(&gateway, MirrorOutcome::Failed, 1);
}

/// Whatever a mirror does, the answer is there before it has done anything.
#[test]
fn the_answer_comes_while_the_mirror_is_still_busy() {
    let (real, idle) = (Upstream::ok(), Arc::new(AtomicBool::new(false)));
    let busy = idle.clone();
    let mirror = Upstream::start(move |accepted| {
        while accepted.request().is_some() {
            eventually(|| busy.load(Ordering::Relaxed).then_some(()));
            accepted.send(OK);
        }
    });
    let gateway = setup(real.address(), mirror.address()).start();
    let mut client = gateway.client();
    for request in [plain(b"abc"), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()] {
        assert_eq!(client.send(request).answer().status, 200);
    }
    mirror.wait(|seen| seen.requests.len() == 2);
    assert_eq!(gateway.proxy.stats().mirror(MirrorOutcome::Answered), 0);
    idle.store(true, Ordering::Relaxed);
    ended(&gateway, MirrorOutcome::Answered, 2);
}
