//! What holds for every world and every sequence of edits.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod worlds;

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_core::served::Served;
use dataplane_core::{BackendStates, Router};
use dataplane_snapshot::{AsOf, Key, Kind, Object, Root, wire};
use operator_core::{Memo, ObjectStatus, ObservedMap, Plan, RefusalReason, Statuses, World, plan};
use proptest::prelude::*;
use worlds::{Edit, Sources, edits};

/// The parts of a plan that must be equal.
type Outcome = ((Root, AsOf, Statuses, Vec<Arc<ObjectStatus>>), Vec<Object>);

fn outcome(plan: &Plan) -> Outcome {
    let root = plan.snapshot.root();
    let as_of = plan.snapshot.as_of().clone();
    let objects = plan.snapshot.objects().cloned().collect();
    let refused = plan.statuses.values().filter(|status| status.accepted.is_err()).count();
    assert_eq!(plan.refused, refused);
    ((root, as_of, plan.statuses.clone(), plan.conflicts.clone()), objects)
}

const fn maps(world: &World) -> [&ObservedMap; 7] {
    let World { backends, routes, certificates, secrets, services, slices, grants, .. } = world;
    [backends, routes, certificates, secrets, services, slices, grants]
}

fn held(plan: &Plan) -> BTreeMap<String, Vec<u8>> {
    let held = plan.snapshot.objects().filter(|object| matches!(object.decode(), Ok(wire::Payload::Held(_))));
    held.map(|object| (object.key().to_string(), object.bytes().to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// A pass with the memory of any history gives what a pass without memory gives, held objects included.
    #[test]
    fn memory_changes_nothing(edits in edits(24)) {
        let mut sources = Sources::default();
        let (mut world, mut memo) = (World::default(), Memo::default());
        for edit in edits {
            sources.apply(edit);
            world = sources.after(&world);
            let joined = sources.world();
            for (followed, joined) in maps(&world).into_iter().zip(maps(&joined)) {
                prop_assert_eq!(followed, joined);
            }
            prop_assert_eq!(&world.conflicts, &joined.conflicts);
            let (with, next) = plan(&world, &memo);
            let (without, _) = plan(&joined, &Memo::default());
            prop_assert_eq!(outcome(&with), outcome(&without));
            prop_assert_eq!(held(&with), held(&without));
            memo = next;
        }
    }

    /// Neither does the memory of an unrelated world.
    #[test]
    fn foreign_memory_changes_nothing(one in edits(16), other in edits(16)) {
        let world_of = |edits: Vec<Edit>| {
            let mut sources = Sources::default();
            edits.into_iter().for_each(|edit| sources.apply(edit));
            sources.world()
        };
        let (_, memo) = plan(&world_of(other), &Memo::default());
        let world = world_of(one);
        prop_assert_eq!(outcome(&plan(&world, &memo).0), outcome(&plan(&world, &Memo::default()).0));
    }

    /// A pass over the same world keeps every status and the root; the as-of follows the world.
    #[test]
    fn same_world_same_results(edits in edits(16)) {
        let mut sources = Sources::default();
        edits.into_iter().for_each(|edit| sources.apply(edit));
        let (first, memo) = plan(&sources.world(), &Memo::default());
        sources.apply(Edit::Touch);
        let world = sources.world();
        let (second, _) = plan(&world, &memo);
        prop_assert_eq!(first.snapshot.root(), second.snapshot.root());
        prop_assert_eq!(second.snapshot.as_of(), &world.as_of);
        for (key, status) in second.statuses.iter() {
            prop_assert!(Arc::ptr_eq(status, first.statuses.get(key).unwrap()), "the status of {} is another one", key);
        }
    }

    /// Every object of the world has a status, every object of the snapshot an owner, and each precedence key is its own.
    #[test]
    fn nothing_is_lost(edits in edits(24)) {
        let mut sources = Sources::default();
        edits.into_iter().for_each(|edit| sources.apply(edit));
        let world = sources.world();
        let (plan, _) = plan(&world, &Memo::default());
        let objects = [&world.backends, &world.routes, &world.certificates];
        prop_assert_eq!(plan.statuses.len(), objects.iter().map(|objects| objects.len()).sum::<usize>());
        prop_assert_eq!(plan.conflicts.len(), world.conflicts.len());
        let is_conflict = |status: &Arc<ObjectStatus>| {
            matches!(&status.accepted, Err(refusal) if refusal.reason == RefusalReason::Conflict)
        };
        prop_assert!(plan.conflicts.iter().all(is_conflict));
        let mut owned: Vec<_> = plan.statuses.values().flat_map(|status| status.objects.clone()).collect();
        owned.sort();
        let objects = plan.snapshot.objects().filter(|object| object.key().kind() != Kind::Listener);
        prop_assert_eq!(owned, objects.map(|object| object.key().clone()).collect::<Vec<_>>());
        unique_precedence(&plan)?;
    }

    /// What is accepted here is what workers compile, and what is held they can hold.
    #[test]
    fn workers_reject_nothing(edits in edits(24)) {
        let mut sources = Sources::default();
        edits.into_iter().for_each(|edit| sources.apply(edit));
        let (plan, _) = plan(&sources.world(), &Memo::default());
        let compiled = Router::compile(&Served::new(plan.snapshot.clone()), None, &BackendStates::new());
        // What names a certificate that is refused goes by the last good version, and here there never was one.
        let without = |key: &Key| {
            let status = plan.statuses.values().find(|status| status.objects.contains(key));
            let unresolved = status.and_then(|status| status.resolved_refs.as_ref().err());
            unresolved.is_some_and(|it| it.problems.iter().any(|problem| problem.message.contains("certificate")))
        };
        let is_expected = |(key, _): &(Key, String)| key.name() == "https" || without(key);
        let rejected: Vec<_> = compiled.rejected.iter().filter(|one| !is_expected(one)).collect();
        prop_assert_eq!(rejected, Vec::<&(Key, String)>::new());
    }

    /// What one object says changes nothing of any other, but for statuses that tell of it.
    #[test]
    fn one_object_stops_no_other(edits in edits(24), last in worlds::edit()) {
        let mut sources = Sources::with_cluster();
        edits.into_iter().for_each(|edit| sources.apply(edit));
        let before = plan(&sources.world(), &Memo::default()).0;
        let Some(touched) = last.key() else { return Ok(()) };
        sources.apply(last);
        let world = sources.world();
        let after = plan(&world, &Memo::default()).0;
        let is_independent = |world: &World, key| {
            !worlds::references(world, key).contains(&worlds::decides(&touched)) && *key != touched
        };
        for (key, status) in after.statuses.iter().filter(|(key, _)| is_independent(&world, key)) {
            let old = before.statuses.get(key).unwrap();
            prop_assert_eq!(&old.accepted, &status.accepted);
            for object in &status.objects {
                prop_assert_eq!(before.snapshot.get(object), after.snapshot.get(object));
            }
        }
    }
}

fn unique_precedence(plan: &Plan) -> Result<(), TestCaseError> {
    let mut seen = std::collections::BTreeSet::new();
    for object in plan.snapshot.objects_of(Kind::Route) {
        let route = match object.decode() {
            Ok(wire::Payload::Route(route)) => route,
            Ok(wire::Payload::Held(wire::Held { route: Some(route), .. })) => route,
            _ => continue,
        };
        for one in route.rules.iter().flat_map(|rule| &rule.matches) {
            prop_assert!(seen.insert(one.precedence.clone()), "{} repeats a precedence", object.key());
        }
    }
    Ok(())
}
