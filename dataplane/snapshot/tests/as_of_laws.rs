//! Order is separate from content: which of two as-of vectors has seen more.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod arbitrary;

use arbitrary::{as_of, as_of_of_one_epoch, as_of_of_two_sources, one_source};
use dataplane_snapshot::{AsOf, Epoch, Kind, Recency, SourceAsOf, wire};
use proptest::prelude::*;

fn merged(a: &AsOf, b: &AsOf) -> AsOf {
    let mut result = a.clone();
    result.merge(b);
    result
}

proptest! {
    #[test]
    fn nothing_is_newer_than_itself(a in as_of()) {
        prop_assert_eq!(a.recency_of(&a), Recency::Same);
        prop_assert!(a.covers(&a));
    }

    /// Two leaders never each take the other one's snapshot for the newer one.
    #[test]
    fn at_most_one_is_newer_of_the_same_sources(a in as_of_of_two_sources(), b in as_of_of_two_sources()) {
        let (forth, back) = (a.recency_of(&b), b.recency_of(&a));
        prop_assert!(forth != Recency::Newer || back == Recency::Stale, "{:?} and {:?}", forth, back);
        prop_assert_eq!(forth == Recency::Same, back == Recency::Same);
    }

    #[test]
    fn merging_goes_forward(a in as_of(), b in as_of()) {
        let both = merged(&a, &b);
        prop_assert_ne!(a.recency_of(&both), Recency::Stale);
        prop_assert!(both.covers(&a) && both.covers(&b));
    }

    #[test]
    fn merging_has_no_order(a in as_of(), b in as_of(), c in as_of()) {
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &a), a);
    }

    #[test]
    fn covering_is_passed_on(a in as_of(), b in as_of(), c in as_of()) {
        let b = merged(&c, &b);
        let a = merged(&b, &a);
        prop_assert!(a.covers(&b) && b.covers(&c) && a.covers(&c));
    }

    /// Within an epoch, covering is being at least as high in every entry.
    #[test]
    fn covering_is_entry_by_entry(a in as_of_of_one_epoch(), b in as_of_of_one_epoch()) {
        let revision = |of: &AsOf, kind| of.0["store"].revisions.get(&kind).copied().unwrap_or(0);
        let expected = Kind::ALL.into_iter().all(|kind| revision(&a, kind) >= revision(&b, kind));
        prop_assert_eq!(a.covers(&b), expected);
    }

    #[test]
    fn wire_and_back(a in as_of()) {
        prop_assert_eq!(wire::as_of_from_wire(wire::as_of_to_wire(&a)), a);
    }
}

#[test]
fn lower_in_one_entry_is_stale() {
    let seen = one_source("store", [(Kind::Route, 5), (Kind::Backend, 5)].into());
    let offer = |route, backend| one_source("store", [(Kind::Route, route), (Kind::Backend, backend)].into());
    assert_eq!(seen.recency_of(&offer(5, 5)), Recency::Same);
    assert_eq!(seen.recency_of(&offer(6, 5)), Recency::Newer);
    assert_eq!(seen.recency_of(&offer(9, 4)), Recency::Stale);
}

#[test]
fn later_epoch_wins_whatever_its_revisions() {
    let of = |id: &str, created_at, revision| {
        let epoch = Epoch { id: id.to_owned(), created_at };
        AsOf([("store".to_owned(), SourceAsOf { epoch, revisions: [(Kind::Route, revision)].into() })].into())
    };
    assert_eq!(of("a", 1, 100).recency_of(&of("b", 2, 0)), Recency::Newer);
    assert_eq!(of("b", 2, 0).recency_of(&of("a", 1, 100)), Recency::Stale);
    assert_eq!(merged(&of("a", 1, 100), &of("b", 2, 0)), of("b", 2, 0));
    assert!(of("b", 2, 0).covers(&of("a", 1, 100)));
}

#[test]
fn a_source_that_is_only_in_one_decides_nothing() {
    let store = one_source("store", [(Kind::Route, 5)].into());
    let files = one_source("files", [(Kind::Route, 1)].into());
    assert_eq!(store.recency_of(&AsOf::default()), Recency::Same);
    assert_eq!(store.recency_of(&files), Recency::Newer);
    assert!(!store.covers(&files), "what was never seen isn't covered");
}
