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
        prop_assert!(forth != Recency::Newer || matches!(back, Recency::Stale | Recency::Earlier), "{:?} and {:?}", forth, back);
        prop_assert_eq!(forth == Recency::Same, back == Recency::Same);
    }

    #[test]
    fn merging_goes_forward(a in as_of(), b in as_of()) {
        let both = merged(&a, &b);
        prop_assert!(matches!(a.recency_of(&both), Recency::Same | Recency::Newer));
        prop_assert!(matches!(b.recency_of(&both), Recency::Same | Recency::Newer));
    }

    #[test]
    fn merging_covers_both_within_an_epoch(a in as_of_of_one_epoch(), b in as_of_of_one_epoch()) {
        let both = merged(&a, &b);
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
        prop_assert!(!(a.covers(&b) && b.covers(&c)) || a.covers(&c));
        let (d, e) = (merged(&c, &b), merged(&merged(&c, &b), &a));
        prop_assert!(!(e.covers(&d) && d.covers(&c)) || e.covers(&c));
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
    assert_eq!(merged(&of("a", 1, 100), &of("b", 2, 0)), of("b", 2, 0));
    assert!(!of("b", 2, 0).covers(&of("a", 1, 100)), "what it has seen of another store says nothing");
}

/// A source that was restored has a later life. Two leaders with stores of their own have nothing to do with each other.
#[test]
fn an_earlier_life_of_one_source_is_stale_and_another_source_cannot_be_compared() {
    let of = |epoch: Epoch| AsOf([("store".to_owned(), SourceAsOf { epoch, revisions: [].into() })].into());
    let first = Epoch { id: "a".to_owned(), created_at: 1 };
    let (second, third) = (first.successor("x", 2), first.successor("x", 2).successor("y", 3));
    assert_eq!((&*second.id, &*third.id, third.lineage()), ("a.x", "a.y", "a"));
    assert_eq!(of(second.clone()).recency_of(&of(first.clone())), Recency::Stale);
    assert_eq!(of(third.clone()).recency_of(&of(second.clone())), Recency::Stale);
    assert_eq!(of(first.clone()).recency_of(&of(third)), Recency::Newer);
    let other = Epoch { id: "b".to_owned(), created_at: 5 };
    assert_eq!(of(other.clone()).recency_of(&of(second.clone())), Recency::Earlier);
    assert_eq!(of(second).recency_of(&of(other)), Recency::Newer);
}

/// What is stale in one source is refused, whatever the others are.
#[test]
fn stale_goes_before_earlier() {
    let of = |id: &str, created_at, route| {
        let epoch = Epoch { id: id.to_owned(), created_at };
        let mut both = one_source("files", [(Kind::Route, route)].into());
        both.0.insert("store".to_owned(), SourceAsOf { epoch, revisions: [].into() });
        both
    };
    assert_eq!(of("a", 2, 5).recency_of(&of("b", 1, 4)), Recency::Stale);
    assert_eq!(of("a", 2, 5).recency_of(&of("b", 1, 6)), Recency::Earlier);
}

#[test]
fn a_source_that_is_only_in_one_decides_nothing() {
    let store = one_source("store", [(Kind::Route, 5)].into());
    let files = one_source("files", [(Kind::Route, 1)].into());
    assert_eq!(store.recency_of(&AsOf::default()), Recency::Same);
    assert_eq!(store.recency_of(&files), Recency::Newer);
    assert!(!store.covers(&files), "what was never seen isn't covered");
}
