use super::*;

const TODAY: &str = "2026-11-30";

/// On that day.
const NOW: Duration = Duration::from_secs(1_796_000_000);

fn counts(requests: u64) -> UsageCounts {
    UsageCounts { requests, sent: requests * 10, ..UsageCounts::default() }
}

fn total(route: &str, consumer: &str, requests: u64) -> UsageTotal {
    UsageTotal {
        window: TODAY.to_owned(),
        route: route.to_owned(),
        consumer: consumer.to_owned(),
        counts: Some(counts(requests)),
    }
}

fn row(worker: &str, route: &str, consumer: &str, requests: u64) -> UsageRow {
    let of = UsageKey { window: TODAY.to_owned(), route: route.to_owned(), consumer: consumer.to_owned() };
    UsageRow { of, worker: worker.to_owned(), counts: counts(requests) }
}

fn push(totals: Vec<UsageTotal>) -> UsagePush {
    let limited = vec!["route/default/a".to_owned()];
    UsagePush { totals, limited, windows: vec![TODAY.to_owned(), "2026-11".to_owned()], member: None }
}

#[test]
fn a_push_is_read_or_its_mistake_is_named() {
    let good = Push::read(push(vec![total("", "", 1), total("route/default/a", "x", 7)]), "w", NOW).unwrap();
    assert_eq!(good.rows, [row("w", "", "", 1), row("w", "route/default/a", "x", 7)]);
    let routes = BTreeSet::from(["", "route/default/a"].map(str::to_owned));
    let asks = [TODAY, "2026-11"].map(|window| (window.to_owned(), routes.clone()));
    assert_eq!(good.asks(), BTreeMap::from(asks));
    let wrong = |total| Push::read(push(vec![total]), "w", NOW).unwrap_err();
    let window = UsageTotal { window: "2026-11-3".to_owned(), ..total("", "", 1) };
    assert_eq!(wrong(window), PushError::Window("2026-11-3".to_owned()));
    assert_eq!(wrong(total("backend/default/a", "", 1)), PushError::Route("backend/default/a".to_owned()));
    assert_eq!(wrong(total("route/default/a", &"x".repeat(1025), 1)), PushError::Consumer(1025));
    let kept = |name: &str| {
        let window = UsageTotal { window: name.to_owned(), ..total("", "", 1) };
        !Push::read(push(vec![window]), "w", NOW).unwrap().rows.is_empty()
    };
    assert!(!["2026-12-02", "2026-10-29", "2026-13", "2026-09", "9999-99"].map(kept).contains(&true));
    assert!(!["2026-12-01", "2026-10-30", "2026-10", "2026-12"].map(kept).contains(&false));
    assert_eq!(wrong(total("", "x", 1)), PushError::Route(String::new()));
    assert!(Push::read(push(vec![total("", "", 1); MAX_PUSHED_TOTALS]), "w", NOW).is_ok());
    let many = vec![total("", "", 1); MAX_PUSHED_TOTALS + 1];
    assert_eq!(Push::read(push(many), "w", NOW), Err(PushError::Totals(MAX_PUSHED_TOTALS + 1)));
}

#[test]
fn who_may_have_a_part_counts_for_that_alone() {
    let totals = vec![total("", "", 1), total("route/default/a", "", 2), total("route/other/a", "", 3)];
    let mut push = Push::read(push(totals), "w", NOW).unwrap();
    push.retain(|key| key.namespace() == "other");
    assert_eq!(push.rows, [row("w", "", "", 1), row("w", "route/other/a", "", 3)]);
    assert!(push.limited.is_empty());
}

#[test]
fn a_worker_is_told_the_sums_of_all() {
    let push = Push::read(push(vec![total("route/default/a", "x", 7)]), "one", NOW).unwrap();
    let rows = [
        row("one", "", "", 3),
        row("one", "route/default/a", "x", 7),
        row("two", "route/default/a", "x", 5),
        row("two", "route/default/a", "", 6),
        row("two", "route/default/other", "", 8),
    ];
    let sums = Sums::new(rows.to_vec());
    assert_eq!(sums.beats(&push.windows).collect::<Vec<_>>(), [&rows[0]]);
    assert_eq!(sums.beats(&["2026-11".to_owned()]).count(), 0, "workers live in days");
    let answer = push.answer(&sums, "leader", 2);
    assert_eq!((answer.leader.as_str(), answer.workers), ("leader", 2));
    let mut told = answer.sums;
    told.sort_by_key(|sum| sum.consumer.clone());
    assert_eq!(told, [total("route/default/a", "", 6), total("route/default/a", "x", 12)]);
    let twice =
        Push { limited: [&push.limited[..]; 2].concat(), windows: [&push.windows[..]; 2].concat(), ..push };
    assert_eq!(twice.answer(&sums, "leader", 2).sums.len(), 2, "each is told once");
}

#[test]
fn of_many_consumers_the_busiest_are_told_and_those_that_were_asked_for() {
    let push = Push::read(push(vec![total("route/default/a", "mine", 1)]), "one", NOW).unwrap();
    let mut rows: Vec<_> =
        (0..3000).map(|number| row("two", "route/default/a", &format!("c{number}"), 10 + number)).collect();
    rows.extend([row("one", "route/default/a", "mine", 1), row("one", "route/default/a", "", 1)]);
    let answer = push.answer(&Sums::new(rows), "leader", 2);
    let told: BTreeSet<_> = answer.sums.iter().map(|sum| sum.consumer.as_str()).collect();
    assert_eq!(answer.sums.len(), MAX_TOLD + 2);
    assert!(["", "mine", "c2999", "c2000"].iter().all(|name| told.contains(name)) && !told.contains("c1999"));
}

#[test]
fn workers_live_while_they_tell_more_and_more() {
    let mut alive = Alive::default();
    let at = Duration::from_secs;
    let beats = |one, two| [row("one", "", "", one), row("two", "", "", two)];
    assert_eq!(alive.count(beats(1, 900).iter(), "one", at(0)), 2, "the other may live");
    assert_eq!(alive.count(beats(2, 900).iter(), "one", at(10)), 1, "it doesn't");
    assert_eq!(alive.count(beats(2, 900).iter(), "one", at(10)), 1, "nor if it is asked again");
    assert_eq!(alive.count([].iter(), "three", at(10)), 1, "by one with a clock that is wrong");
    let mut yesterday = row("two", "", "", 5000);
    yesterday.of.window = "2026-11-29".to_owned();
    assert_eq!(alive.count([&yesterday].into_iter(), "three", at(10)), 2, "it may have lived then");
    assert_eq!(alive.count(beats(2, 900).iter(), "one", at(20)), 1);
    let mut alive = Alive::default();
    alive.count(beats(5, 9).iter(), "one", at(0));
    assert_eq!(
        alive.count(beats(1, 10).iter(), "one", at(10)),
        2,
        "who pushes lives, if it has told more before"
    );
    let mut alive = Alive::default();
    alive.count(beats(1, 900).iter(), "one", at(0));
    assert_eq!(alive.count(beats(2, 900).iter(), "one", at(10)), 1);
    assert_eq!(alive.count(beats(3, 901).iter(), "one", at(11)), 2);
    assert_eq!(alive.count(beats(7, 901).iter(), "one", at(20)), 2);
    assert_eq!(alive.count(beats(8, 901).iter(), "one", at(21)), 1);
    assert_eq!(alive.count(beats(8, 902).iter(), "two", at(22)), 2);
    assert_eq!(alive.count([].iter(), "one", at(99)), 1);
}

#[test]
fn windows_are_dropped_when_nobody_asks_for_them_any_more() {
    let over = over(NOW);
    assert!(
        ["2026-10-29", "2026-10-01", "2026-09", "2026-08"]
            .iter()
            .all(|window| over.contains(&(*window).to_owned()))
    );
    assert!(
        !["2026-11-30", "2026-10-30", "2026-11", "2026-10"]
            .iter()
            .any(|window| over.contains(&(*window).to_owned()))
    );
}

#[test]
fn what_is_kept_is_neither_over_nor_in_the_future() {
    let kept = kept(NOW);
    for window in ["2026-12-01", "2026-11-30", "2026-10-30", "2026-12", "2026-11", "2026-10"] {
        assert!(kept.contains(window), "{window}");
    }
    for window in ["2026-12-02", "2026-10-29", "2027-01", "2026-09"] {
        assert!(!kept.contains(window), "{window}");
    }
    assert_eq!(kept.len(), 33 + 3);
    assert!(over(NOW).iter().all(|window| !kept.contains(window)));
    assert!(super::kept(Duration::ZERO).contains("1970-01-02"), "a clock that was never set");
}

#[test]
fn what_a_push_asks_for_is_checked_and_bounded() {
    let asking = |limited: &[&str], windows: &[&str]| UsagePush {
        limited: limited.iter().map(|text| (*text).to_owned()).collect(),
        windows: windows.iter().map(|text| (*text).to_owned()).collect(),
        ..push(Vec::new())
    };
    for window in ["today", "2026x11", "2026-1a"] {
        let refused = Push::read(asking(&[], &[window]), "w", NOW);
        assert_eq!(refused, Err(PushError::Window(window.to_owned())));
    }
    let read = Push::read(asking(&["backend/default/a", "x"], &[TODAY; 3]), "w", NOW).unwrap();
    assert_eq!((read.limited.len(), read.windows.len()), (0, 2));
    assert!(Push::read(push(vec![total("route/default/a", &"x".repeat(1024), 1)]), "w", NOW).is_ok());
    let long = format!("route/default/{}", "x".repeat(1011));
    assert_eq!(Push::read(push(vec![total(&long, "", 1)]), "w", NOW), Err(PushError::Route(long)));
}

#[test]
fn whatever_was_counted_is_progress() {
    let more = [UsageCounts { admitted: 1, ..counts(5) }, UsageCounts { refused: 1, ..counts(5) }, counts(6)];
    assert!(more.iter().all(|more| is_further(more, &counts(5)) && !is_further(&counts(5), more)));
    assert!(!is_further(&counts(5), &counts(5)));
}

#[test]
fn a_month_is_kept_until_the_next_one_is_over() {
    let day = Duration::from_secs(86_400);
    assert!(kept(NOW - day * 91).contains("2026-07"), "on 2026-08-31");
    assert!(!kept(NOW - day * 90).contains("2026-07"), "on 2026-09-01");
}
