//! Instruction counts of what happens on each request and on each change. Run by `make check-instructions`.

#![expect(unused_qualifications, reason = "written by the macros")]
#![expect(clippy::unwrap_used, reason = "a measurement of something else must end")]

use std::hint::black_box;

use benches::wire_routes::{self, LISTENER, Request};
use dataplane_core::served::Served;
use dataplane_core::{BackendStates, Compiled, Decision, ListenerId, Router};
use dataplane_proxy::Limits;
use dataplane_proxy::http1::head::{self, Head};
use dataplane_snapshot::{Diff, Snapshot};
use gungraun::prelude::*;

struct Lookup {
    router: Router,
    listener: ListenerId,
    requests: Vec<Request>,
}

fn lookup_at(routes: usize) -> Lookup {
    let served = Served::new(wire_routes::snapshot(routes));
    let router = Router::compile(&served, None, &BackendStates::new()).router;
    let listener = router.listener_id(LISTENER).unwrap();
    Lookup { router, listener, requests: wire_routes::requests(routes, 100) }
}

// A hundred requests, a fifth of them for no route.
#[library_benchmark]
#[bench::routes_100(lookup_at(100))]
#[bench::routes_10000(lookup_at(10_000))]
fn lookup(input: Lookup) -> (usize, Lookup) {
    let Lookup { router, listener, requests } = &input;
    let found = requests
        .iter()
        .filter(|request| {
            matches!(black_box(router.route(*listener, black_box(*request))), Decision::Found(_))
        })
        .count();
    (black_box(found), input)
}

struct Swap {
    previous: Router,
    next: Served,
    states: BackendStates,
}

fn swap_at(routes: usize, change: fn(&Snapshot, usize) -> Snapshot) -> Swap {
    let states = BackendStates::new();
    let snapshot = wire_routes::snapshot(routes);
    let served = Served::new(snapshot.clone());
    let previous = Router::compile(&served, None, &states).router;
    Swap { previous, next: served.advance(change(&snapshot, routes)), states }
}

#[library_benchmark]
#[bench::edited_route_10000(swap_at(10_000, wire_routes::edited))]
#[bench::moved_pod_10000(swap_at(10_000, |snapshot, _| wire_routes::moved(snapshot)))]
fn swap(input: Swap) -> (Compiled, Swap) {
    let Swap { previous, next, states } = &input;
    (black_box(Router::compile(black_box(next), Some(previous), states)), input)
}

fn edit_at(routes: usize) -> (Snapshot, Snapshot) {
    let base = wire_routes::snapshot(routes);
    let target = wire_routes::edited(&base, routes);
    (base, target)
}

#[library_benchmark]
#[bench::edited_route_10000(edit_at(10_000))]
fn diff((base, target): (Snapshot, Snapshot)) -> (Diff, Snapshot, Snapshot) {
    (black_box(dataplane_snapshot::diff(black_box(&base), black_box(&target))), base, target)
}

const HEAD: &[u8] = b"GET /api/users/42/bills?page=2&size=20 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: \
    Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: application/json\r\n\
    Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\nCookie: \
    session=0123456789abcdef; theme=dark\r\nX-Request-Id: 4f2c9a0e\r\n\r\n";

#[library_benchmark]
#[bench::get(HEAD, Limits::default())]
fn parse_head(bytes: &[u8], limits: Limits) -> Head {
    black_box(head::parse(black_box(bytes), &limits)).unwrap().unwrap()
}

library_benchmark_group!(name = request, benchmarks = [lookup, parse_head]);
library_benchmark_group!(name = change, benchmarks = [swap, diff]);
main!(library_benchmark_groups = [request, change]);
