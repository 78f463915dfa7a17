use super::*;
use crate::suite::{counted, row};

#[test]
fn what_is_written_is_read() {
    let counts_of = |first: u64| UsageCounts {
        requests: first,
        refused: 2,
        admitted: 3,
        received: 4,
        sent: 5,
        micros: 6,
        status_1xx: 7,
        status_2xx: 8,
        status_3xx: 9,
        status_4xx: 10,
        status_5xx: u64::MAX,
    };
    for first in [0, 1, u64::MAX] {
        assert_eq!(counts(&counts_text(&counts_of(first))), Some(counts_of(first)));
    }
    assert_eq!(counts_text(&counts_of(1)), "1 2 3 4 5 6 7 8 9 10 18446744073709551615");
    assert_eq!(counts("1 2 3 4 5 6 7 8 9 10 11 of a later version").unwrap().status_5xx, 11);
    for damaged in ["", "1", "1 2 3 4 5 6 7 8 9 10", "1 2 3 4 5 6 7 8 9 10 x", "1 2 3 4 5 6 7 8 9 10 -1"] {
        assert_eq!(counts(damaged), None, "{damaged:?}");
    }
}

#[test]
fn rows_come_once_and_in_order() {
    let rows = [
        row("2", "a", "", "w", 1),
        row("1", "b", "", "w", 3),
        row("1", "b", "", "w", 5),
        row("1", "b", "", "w", 4),
        row("1", "a", "", "w", 0),
        row("1", "a", "x", "w", 1),
        row("1", "a", "", "v", 2),
    ];
    let names: Vec<_> =
        merged(&rows).iter().map(|row| (&*row.of.window, &*row.of.route, row.counts)).collect();
    let expected = [("1", "a", 2), ("1", "a", 1), ("1", "b", 5), ("2", "a", 1)];
    assert_eq!(names, expected.map(|(window, route, requests)| (window, route, counted(requests))));
}

#[test]
fn names_that_no_server_keeps_are_left_out() {
    let longest = "x".repeat(MAX_NAME - 3);
    let rows = [
        row("1", "a", "a\0b", "w", 1),
        row("1", "a", &longest, "w", 1),
        row("1", "a", &format!("{longest}x"), "w", 1),
    ];
    let kept: Vec<_> = merged(&rows).iter().map(|row| row.of.consumer.clone()).collect();
    assert_eq!(kept, [longest]);
}

#[test]
fn a_part_is_of_one_window() {
    let rows: Vec<_> = ["1", "1", "1", "2", "3", "3"].map(|window| row(window, "a", "", "w", 1)).into();
    let rows: Vec<_> = rows.iter().collect();
    let lengths: Vec<_> = parts(&rows, 2).map(|(window, part)| (window, part.len())).collect();
    assert_eq!(lengths, [("1", 2), ("1", 1), ("2", 1), ("3", 2)]);
    assert_eq!(parts(&[], 2).count(), 0);
}

#[test]
fn each_route_is_asked_for_once() {
    assert_eq!(once(&["b", "a", "b"].map(str::to_owned)), ["a", "b"]);
}
