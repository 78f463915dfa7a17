//! How long `plan` takes with many routes: cold, and after one edit. `cargo run --release --example plan_speed [ROUTES]`.
//! The times are those on the processor (Linux), so that a busy machine disturbs them little.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "it prints figures, and may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crds::{
    BackendReference, BackendSpec, Condition, ConditionType, PathMatch, PathType, RouteBackend, RouteMatch,
    RouteSpec, Target,
};
use dataplane_snapshot::{Epoch, Key, Kind, SourceAsOf};
use operator_core::{ListenerSettings, Memo, Observed, Origin, Owner, SourceView, Spec, World, plan};

const BACKENDS: usize = 100;
const ROUNDS: usize = 200;

fn main() {
    let routes = std::env::args().nth(1).map_or(10_000, |text| text.parse().unwrap());
    let mut view = view(routes);
    let listeners = Arc::new(vec![ListenerSettings::http("http", 8080)]);
    let world = World::join(listeners.clone(), [&view]);
    report("cold", &measure(|_| ((), ()), |()| plan(&world, &Memo::default())));

    let (_, mut memo) = plan(&world, &Memo::default());
    report("nothing changed", &measure(|_| ((), ()), |()| plan(&world, &memo)));
    let edit_route = |round| {
        change(&mut view, route(round, &format!("/edited/{round}")));
        let start = on_processor();
        let world = world.follow(listeners.clone(), [&view]);
        (world, on_processor() - start)
    };
    let (edited, joins) = measure_with(edit_route, |world| {
        let (plan, next) = plan(world, &memo);
        memo = next;
        plan
    });
    report("one route edited", &edited);
    report("  (World::join before it)", &joins);
    let edit_backend = |round| {
        change(&mut view, backend(round % BACKENDS, 9_000));
        (World::join(listeners.clone(), [&view]), Duration::ZERO)
    };
    let (edited, _) = measure_with(edit_backend, |world| {
        let (plan, next) = plan(world, &memo);
        memo = next;
        plan
    });
    report("one backend edited", &edited);
}

/// The times of `run` after `prepare`, results dropped outside.
fn measure<P, T>(mut prepare: impl FnMut(usize) -> (P, ()), mut run: impl FnMut(&P) -> T) -> Vec<Duration> {
    measure_with(|round| (prepare(round).0, Duration::ZERO), |prepared| run(prepared)).0
}

fn measure_with<P, T>(
    mut prepare: impl FnMut(usize) -> (P, Duration),
    mut run: impl FnMut(&P) -> T,
) -> (Vec<Duration>, Vec<Duration>) {
    let round = |round| {
        let (prepared, preparing) = prepare(round);
        let start = on_processor();
        let result = run(&prepared);
        let elapsed = on_processor() - start;
        drop(result);
        (elapsed, preparing)
    };
    (0..ROUNDS).map(round).unzip()
}

/// How long this thread has run.
fn on_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// The mean: the kernel counts in steps of a few milliseconds, which only come out right in the sum.
fn report(what: &str, times: &[Duration]) {
    let mean = times.iter().sum::<Duration>() / u32::try_from(times.len()).unwrap();
    println!("{what:28} {mean:>10.2?}");
}

fn view(routes: usize) -> SourceView {
    let backends = (0..BACKENDS).map(|number| backend(number, 8_080));
    let routes = (0..routes).map(|number| route(number, &path(number)));
    let objects = backends.chain(routes).map(|object| (object.key.clone(), Arc::new(object))).collect();
    let epoch = Epoch { id: "one".into(), created_at: 1 };
    SourceView { owner: Owner::Store, as_of: SourceAsOf { epoch, revisions: BTreeMap::new() }, objects }
}

fn change(view: &mut SourceView, object: Observed) {
    *view.as_of.revisions.entry(object.key.kind()).or_default() += 1;
    view.objects.insert(object.key.clone(), Arc::new(object));
}

fn observed(kind: Kind, name: String, spec: Spec) -> Observed {
    let key = Key::new(kind, "default", name);
    Observed { key, spec, labels: BTreeMap::new(), generation: 1, uid: String::new(), origin: Origin::Store }
}

fn backend(number: usize, port: u16) -> Observed {
    let target = |side: &str| Target {
        hostname: Some(format!("{side}-{number}.internal")),
        port: Some(port),
        ..Target::default()
    };
    let spec = BackendSpec { targets: vec![target("a"), target("b")], ..BackendSpec::default() };
    observed(Kind::Backend, format!("backend-{number}"), Spec::Backend(Arc::new(spec)))
}

/// One in ten with a regular expression of its own.
fn path(number: usize) -> String {
    match number % 10 {
        0 => format!("/api/v{number}/$id<[0-9]{{1,{}}}>/bills", number % 7 + 1),
        _ => format!("/api/v{number}/users"),
    }
}

/// One in ten with a wildcard host, one in five with a condition on a header.
fn route(number: usize, path: &str) -> Observed {
    let host = match number % 10 {
        1 => format!("*.host-{}.example.com", number % 500),
        _ => format!("host-{}.example.com", number % 500),
    };
    let header =
        Condition { name: "X-Version".into(), type_: ConditionType::Exact, value: Some(number.to_string()) };
    let one = RouteMatch {
        hostnames: vec![host],
        paths: vec![PathMatch { type_: PathType::Prefix, value: path.to_owned() }],
        headers: if number % 5 == 2 { vec![header] } else { Vec::new() },
        ..RouteMatch::default()
    };
    let reference = BackendReference { name: format!("backend-{}", number % BACKENDS), namespace: None };
    let spec = RouteSpec {
        matches: vec![one],
        backends: vec![RouteBackend { reference: Some(reference), inline: None, weight: 1 }],
        ..RouteSpec::default()
    };
    observed(Kind::Route, format!("route-{number:05}"), Spec::Route(Arc::new(spec)))
}
