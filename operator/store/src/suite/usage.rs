//! What workers have counted.

use std::collections::BTreeMap;

use dataplane_snapshot::wire::UsageCounts;
use operator_core::Owner;
use operator_core::usage::{UsageKey, UsageRow};

use super::{Opened, draft, key};
use crate::{Expected, StateStore};

pub fn row(window: &str, route: &str, consumer: &str, worker: &str, requests: u64) -> UsageRow {
    let of = UsageKey { window: window.into(), route: route.into(), consumer: consumer.into() };
    UsageRow { of, worker: worker.into(), counts: counted(requests) }
}

/// All numbers are others, so that none is taken for another one.
pub fn counted(requests: u64) -> UsageCounts {
    UsageCounts {
        requests,
        refused: 0,
        received: requests * 100,
        sent: requests * 1_000,
        micros: requests * 10_000,
        status_1xx: requests * 3,
        status_2xx: requests * 5,
        status_3xx: requests * 7,
        status_4xx: requests * 11,
        status_5xx: requests * 13,
        admitted: requests * 17,
    }
}

/// In the order of their names.
fn sorted(mut rows: Vec<UsageRow>) -> Vec<UsageRow> {
    rows.sort_by(|one, other| (&one.of, &one.worker).cmp(&(&other.of, &other.worker)));
    rows
}

async fn usage(store: &dyn StateStore, window: &str) -> Vec<UsageRow> {
    sorted(store.usage(window, None).await.unwrap())
}

pub async fn counts_are_read_by_window_and_route(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    assert_eq!(usage(&*store, "2026-11-30").await, []);
    store.raise_usage(&[]).await.unwrap();
    let object = store.put(&key("a"), Expected::Any, draft("1")).await.unwrap();
    let of = |route, consumer, worker, requests| row("2026-11-30", route, consumer, worker, requests);
    let a = [of("a", "", "v", 3), of("a", "", "w", 1), of("a", "some one: ä", "w", 1)];
    let b = [of("a:b", "w", "", 2), UsageRow { counts: refusals(7), ..of("a:b", "w", "x", 0) }];
    let month = row("2026-11", "a", "", "w", 9);
    store.raise_usage(&[&a[..], &b, std::slice::from_ref(&month)].concat()).await.unwrap();
    store.raise_usage(&[of("a", "idle", "w", 0)]).await.unwrap();
    assert_eq!(usage(&*store, "2026-11-30").await, [&a[..], &b].concat());
    assert_eq!(usage(&*store, "2026-11").await, [month]);
    let of = async |routes: &[&str]| {
        let routes: Vec<_> = routes.iter().map(|route| (*route).to_owned()).collect();
        sorted(store.usage("2026-11-30", Some(&routes)).await.unwrap())
    };
    assert_eq!(of(&["a"]).await, a);
    assert_eq!(of(&["a:b", "none", "a:b"]).await, b);
    assert_eq!(of(&["a", "a:b"]).await, [&a[..], &b].concat());
    assert_eq!(of(&[]).await, []);
    assert_eq!(store.list(Owner::Store).await.unwrap().revision, object.revision, "counts raise no revision");
}

fn refusals(refused: u64) -> UsageCounts {
    UsageCounts { refused, ..counted(0) }
}

pub async fn the_further_of_two_counts_is_kept(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    let of = |requests| row("2026-11-30", "a", "c", "w", requests);
    let kept = async || usage(&*store, "2026-11-30").await;
    // 9 and 10 are another way round as texts.
    for (raised, furthest) in [(9, 9), (10, 10), (9, 10), (10, 10), (2_000, 2_000), (300, 2_000)] {
        store.raise_usage(&[of(raised)]).await.unwrap();
        assert_eq!(kept().await, [of(furthest)], "after {raised}");
    }
    // Twice in one call, whichever comes first.
    store.raise_usage(&[of(2_001), of(2_003), of(2_002)]).await.unwrap();
    assert_eq!(kept().await, [of(2_003)]);
    // Also when only refusals were counted.
    let refused = UsageRow { counts: UsageCounts { refused: 1, ..counted(2_003) }, ..of(0) };
    store.raise_usage(std::slice::from_ref(&refused)).await.unwrap();
    store.raise_usage(&[of(2_003)]).await.unwrap();
    assert_eq!(kept().await, [refused]);
    let most = of(1 << 40);
    store.raise_usage(std::slice::from_ref(&most)).await.unwrap();
    assert_eq!(kept().await, [most]);
}

pub async fn a_window_is_forgotten_alone(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    let of = |window| vec![row(window, "a", "", "w", 1), row(window, "b", "c", "w", 2)];
    let windows = ["2026-11", "2026-11-29", "2026-11-30"];
    store.raise_usage(&windows.map(of).concat()).await.unwrap();
    store.drop_usage("2026-11-29").await.unwrap();
    store.drop_usage("2026-11-29").await.unwrap();
    store.drop_usage("2025").await.unwrap();
    let routes = ["a".to_owned(), "b".to_owned()];
    assert_eq!(store.usage("2026-11-29", Some(&routes)).await.unwrap(), []);
    for (window, kept) in [(windows[0], of(windows[0])), (windows[1], vec![]), (windows[2], of(windows[2]))] {
        assert_eq!(usage(&*store, window).await, kept, "{window}");
    }
    store.raise_usage(&[row(windows[2], "a", "", "w", 5)]).await.unwrap();
    assert_eq!(usage(&*store, windows[2]).await[0].counts, counted(5));
}

pub async fn many_counts_come_at_once(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    let one =
        |n: u64| row("2026-11-30", &format!("route-{}", n % 120), &format!("c{n}"), &n.to_string(), n + 1);
    let rows = sorted((0..3_000).map(one).chain([row("2026-11", "a", "", "w", 1)]).collect());
    store.raise_usage(&rows).await.unwrap();
    assert_eq!(usage(&*store, "2026-11-30").await, rows[1..]);
    let routes: Vec<_> = (0..120).map(|n| format!("route-{n}")).collect();
    let read = store.usage("2026-11-30", Some(&routes)).await.unwrap();
    assert_eq!(sorted(read), rows[1..]);
    store.drop_usage("2026-11-30").await.unwrap();
    assert_eq!(usage(&*store, "2026-11-30").await, []);
    assert_eq!(usage(&*store, "2026-11").await, rows[..1]);
}

/// As when workers push again by way of another leader, and a window before is forgotten meanwhile.
pub async fn no_count_is_lost_in_a_race(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    let one = |writer: u64, n: u64| {
        row("2026-11-30", &format!("route-{}", n % 7), "", &format!("w{n}"), 1 + (n * 5 + writer * 3) % 11)
    };
    let raise = |writer: u64| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut rows: Vec<_> = (0..400).map(|n| one(writer, n)).collect();
            rows.push(row("2026-11-29", "route-0", "", &format!("w{writer}"), 1));
            if writer.is_multiple_of(2) {
                rows.reverse();
            }
            for part in rows.chunks(150) {
                store.raise_usage(part).await.unwrap();
            }
            store.drop_usage("2026-11-29").await.unwrap();
        })
    };
    let writers: Vec<_> = (0..6).map(raise).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let furthest = |n| (0..6).map(|writer| one(writer, n)).max_by_key(|row| row.counts.requests).unwrap();
    assert_eq!(usage(&*store, "2026-11-30").await, sorted((0..400).map(furthest).collect()));
}

/// It would be sent again and again, and what comes with it would never be kept.
pub async fn a_count_that_no_store_can_keep_is_left_out(open: impl AsyncFn(u64) -> Opened) {
    let store = open(100).await;
    let of = |consumer: &str| row("2026-11-30", "a", consumer, "w", 1);
    // Signs that can't be made shorter by packing them.
    let mut state = 1_u64;
    let mut sign = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + (state >> 33).to_le_bytes()[0] % 90)
    };
    let longest: String = (0..1_980).map(|_| sign()).collect();
    let rows = [of("a"), of("a\0b"), of(&longest), of(&longest.repeat(2)), of(&longest.repeat(50))];
    store.raise_usage(&rows).await.unwrap();
    let kept: BTreeMap<_, _> =
        usage(&*store, "2026-11-30").await.into_iter().map(|row| (row.of.consumer, row.counts)).collect();
    assert_eq!(kept, BTreeMap::from([("a".to_owned(), counted(1)), (longest, counted(1))]));
}
