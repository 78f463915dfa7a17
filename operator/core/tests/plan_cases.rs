//! Cases that random worlds rarely meet.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

mod manifests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::{PathMatch, PathType, RouteMatch};
use dataplane_core::served::Served;
use dataplane_core::{BackendStates, Router};
use dataplane_snapshot::{Key, Object, wire};
use operator_core::{Memo, Observed, Plan, Spec, UnresolvedReason, World, plan};

const GOOD: &str = "
kind: Backend
metadata: {name: b}
spec: {targets: [{hostname: a.internal, port: 80}]}
---
kind: Route
metadata: {name: first}
spec: {matches: [{hostnames: [a.test]}], backends: [{ref: {name: b}}]}
---
kind: Route
metadata: {name: second}
spec: {matches: [{hostnames: [a.test]}], backends: [{ref: {name: b}}]}
";

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

/// `world` with one object changed and all others as they were.
fn edited(world: &World, object: &str, change: impl FnOnce(&mut Observed)) -> World {
    let mut next = world.clone();
    let object = key(object);
    let objects = if next.routes.contains_key(&object) { &mut next.routes } else { &mut next.backends };
    let mut observed = objects.get(&object).unwrap().clone();
    change(Arc::make_mut(&mut observed));
    objects.insert(object, observed);
    next
}

fn backend_root(root: &str) -> impl FnOnce(&mut Observed) {
    let root = root.to_owned();
    move |observed| {
        let Spec::Backend(spec) = &mut observed.spec else { panic!("no backend") };
        Arc::make_mut(spec).root = root;
    }
}

fn unresolved(plan: &Plan, route: &str) -> Option<UnresolvedReason> {
    plan.statuses.get(&key(route)).unwrap().resolved_refs.as_ref().err().map(|unresolved| unresolved.reason)
}

#[test]
fn routes_follow_their_backend_into_refusal_and_back() {
    let world = manifests::world(GOOD);
    let (before, memo) = plan(&world, &Memo::default());
    assert_eq!(unresolved(&before, "route/default/first"), None);

    let (refused, memo) = plan(&edited(&world, "backend/default/b", backend_root("bad")), &memo);
    assert_eq!(unresolved(&refused, "route/default/first"), Some(UnresolvedReason::BackendNotAccepted));
    let route = |plan: &Plan| plan.snapshot.get(&key("route/default/first")).cloned();
    assert_eq!(route(&refused), route(&before), "it is planned all the same");

    let (again, _) = plan(&world, &memo);
    assert_eq!(unresolved(&again, "route/default/first"), None);
    assert_eq!(again.snapshot.root(), before.snapshot.root());
}

#[test]
fn routes_follow_the_backends_of_their_mirrors_and_are_never_held_for_them() {
    let mirroring = GOOD.replacen(
        "backends: [{ref: {name: b}}]",
        "backends: [{ref: {name: b}}], filters: {requestMirrors: [{ref: {name: c}}]}",
        1,
    );
    let copies =
        "---\nkind: Backend\nmetadata: {name: c}\nspec: {targets: [{hostname: c.internal, port: 80}]}\n";
    let without = manifests::world(&mirroring);
    let with = manifests::world(&format!("{mirroring}{copies}"));
    let first = "route/default/first";
    let (missing, memo) = plan(&without, &Memo::default());
    assert_eq!(unresolved(&missing, first), Some(UnresolvedReason::MirrorNotFound));
    let status = missing.statuses.get(&key(first)).unwrap();
    assert!(status.accepted.is_ok() && !status.is_held());
    let problems = &status.resolved_refs.as_ref().unwrap_err().problems;
    assert_eq!(
        problems[0].to_string(),
        "spec.filters.requestMirrors[0].ref: there is no Backend c in namespace default"
    );
    let route = |plan: &Plan| plan.snapshot.get(&key(first)).cloned();

    // The same objects as before, so that what is planned anew is so for the Backend alone.
    let mut found = without.clone();
    found.backends.clone_from(&with.backends);
    let (found, memo) = plan(&found, &memo);
    assert_eq!(unresolved(&found, first), None);
    assert_eq!(route(&found), route(&missing));
    let (refused, _) = plan(&edited(&with, "backend/default/c", backend_root("bad")), &memo);
    assert_eq!(unresolved(&refused, first), Some(UnresolvedReason::BackendNotAccepted));
    assert_eq!(route(&refused), route(&missing));
    assert_eq!(unresolved(&refused, "route/default/second"), None);
}

#[test]
fn the_status_of_a_shadowed_route_is_the_newest() {
    let world = manifests::world(GOOD);
    let (before, memo) = plan(&world, &Memo::default());
    let second = key("route/default/second");
    assert_eq!(before.statuses.get(&second).unwrap().overlaps.len(), 1);
    let (after, _) = plan(&edited(&world, "route/default/second", |route| route.generation = 9), &memo);
    assert_eq!(after.statuses.get(&second).unwrap().generation, 9);
    assert_eq!(after.statuses.get(&second).unwrap().overlaps.len(), 1);
}

/// What didn't change isn't made again: a status keeps its `Arc`.
#[test]
fn an_edit_leaves_the_others_alone() {
    let world = manifests::world(GOOD);
    let (before, memo) = plan(&world, &Memo::default());
    let (after, _) = plan(&edited(&world, "backend/default/b", backend_root("/v2")), &memo);
    for route in ["route/default/first", "route/default/second"] {
        assert!(
            Arc::ptr_eq(before.statuses.get(&key(route)).unwrap(), after.statuses.get(&key(route)).unwrap()),
            "{route}"
        );
    }
    let changed = dataplane_snapshot::diff(&before.snapshot, &after.snapshot).upserts;
    assert_eq!(
        changed.iter().map(|object| object.key().to_string()).collect::<Vec<_>>(),
        ["backend/default/b"]
    );
}

/// What several leaders can't count together is refused once there are several, and only that.
#[test]
fn quotas_follow_the_stores() {
    let limited = |limit: &str| {
        let filters = format!("backends: [{{ref: {{name: b}}}}], filters: {{rateLimits: [{limit}]}}");
        manifests::world(&GOOD.replacen("backends: [{ref: {name: b}}]", &filters, 1))
    };
    let of_leaders = |world: &World, separate_stores| {
        let mut world = world.clone();
        world.separate_stores = separate_stores;
        world
    };
    let accepted = |plan: &Plan| plan.statuses.get(&key("route/default/first")).unwrap().accepted.clone();
    let daily = limited("{requests: 5, per: Second}, {requests: 9, per: Day}");
    let (alone, memo) = plan(&of_leaders(&daily, 1), &Memo::default());
    assert!(accepted(&alone).is_ok());
    let (apart, memo) = plan(&of_leaders(&daily, 3), &memo);
    let refusal = accepted(&apart).unwrap_err();
    assert_eq!(refusal.problems.len(), 1);
    let said = refusal.problems[0].to_string();
    assert!(said.starts_with("spec.filters.rateLimits[1].per: a limit per Day is counted"), "{said}");
    assert!(said.contains("cluster.leader.replicas=3") && said.contains("give store.url"), "{said}");
    let (again, _) = plan(&of_leaders(&daily, 1), &memo);
    assert_eq!(again.snapshot.root(), alone.snapshot.root());

    let (short, _) = plan(&of_leaders(&limited("{requests: 5, per: Minute}"), 3), &Memo::default());
    assert!(accepted(&short).is_ok());
}

const SERVICE: &str = "
kind: Backend
metadata: {name: b}
spec: {targets: [{service: {name: pods, port: 80}}]}
---
kind: Backend
metadata: {name: c}
spec: {targets: [{service: {name: pods-2, port: 80}}]}
---
kind: Route
metadata: {name: first}
spec: {matches: [{hostnames: [a.test]}], backends: [{ref: {name: b}}]}
---
kind: Service
metadata: {name: pods}
spec: {ports: [{port: 80}]}
---
kind: EndpointSlice
metadata: {name: pods-1, labels: {kubernetes.io/service-name: pods}}
ports: [{port: 8080}]
endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}]
";

/// A pod that moves is one small object for workers, and nothing else is planned anew.
#[test]
fn a_pod_that_moves_changes_the_targets_alone() {
    let world = manifests::world(SERVICE);
    let (before, memo) = plan(&world, &Memo::default());
    let mut moved = world.clone();
    let slice = key("slice/default/pods/pods-1");
    let mut observed = moved.slices.get(&slice).unwrap().clone();
    let Spec::Slice(spec) = &mut Arc::make_mut(&mut observed).spec else { panic!("no slice") };
    Arc::make_mut(spec).endpoints[0].addresses = vec!["10.0.0.3".to_owned()];
    moved.slices.insert(slice, observed);
    let (after, _) = plan(&moved, &memo);
    let changed = dataplane_snapshot::diff(&before.snapshot, &after.snapshot);
    assert_eq!(changed.removals, vec![]);
    assert_eq!(
        changed.upserts.iter().map(|object| object.key().to_string()).collect::<Vec<_>>(),
        ["endpoints/default/b"]
    );
    for other in ["route/default/first", "backend/default/c"] {
        let status = |plan: &Plan| plan.statuses.get(&key(other)).unwrap().clone();
        assert!(Arc::ptr_eq(&status(&before), &status(&after)), "{other}");
    }
}

/// A worker refuses a whole state for one object that is too long, so none may be planned.
#[test]
fn what_is_too_long_is_held_without_its_load() {
    let labels: BTreeMap<_, _> = [("long".to_owned(), "x".repeat(Object::MAX_BYTES))].into();
    for object in ["backend/default/b", "route/default/first"] {
        let world = edited(&manifests::world(GOOD), object, |observed| observed.labels = labels.clone());
        let (plan, _) = plan(&world, &Memo::default());
        assert!(plan.snapshot.objects().all(|object| object.bytes().len() <= Object::MAX_BYTES));
        let problems = plan.statuses.get(&key(object)).unwrap().accepted.clone().unwrap_err().problems;
        assert!(problems[0].message.contains("takes 1048"), "{}", problems[0]);
        let held = plan.snapshot.get(&key(object)).unwrap().decode().unwrap();
        assert!(matches!(held, wire::Payload::Held(_)));
    }
}

/// As many pairs of host and path as workers place are accepted, and placed.
#[test]
fn the_most_pairs_are_those_of_workers() {
    let hostnames: Vec<_> = (0..32).map(|number| format!("h{number}.test")).collect();
    let path = |number| PathMatch { type_: PathType::Prefix, value: format!("/{number}") };
    let paths: Vec<_> = (0..32).map(path).collect();
    let of_method = |method: &str| RouteMatch {
        hostnames: hostnames.clone(),
        paths: paths.clone(),
        methods: vec![method.to_owned()],
        ..RouteMatch::default()
    };
    let accepted = |matches: Vec<RouteMatch>| {
        let world = edited(&manifests::world(GOOD), "route/default/first", |observed| {
            let Spec::Route(spec) = &mut observed.spec else { panic!("no route") };
            Arc::make_mut(spec).matches = matches;
        });
        let (plan, _) = plan(&world, &Memo::default());
        let is_accepted = plan.statuses.get(&key("route/default/first")).unwrap().accepted.is_ok();
        let compiled = Router::compile(&Served::new(plan.snapshot), None, &BackendStates::new());
        assert_eq!(compiled.rejected, vec![]);
        is_accepted
    };
    let mut matches: Vec<_> = ["A", "B", "C", "D"].map(of_method).into();
    assert!(accepted(matches.clone()), "4096 pairs");
    matches.push(RouteMatch::default());
    assert!(!accepted(matches), "4097 pairs");
}
