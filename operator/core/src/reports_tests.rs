use dataplane_core::report::{Delivery, Levels, Reporting};
use dataplane_snapshot::wire::{self, MAX_NODE_BYTES, TargetLevel, TargetStanding};
use dataplane_snapshot::{Key, Kind};
use proptest::prelude::*;
use prost::Message as _;

use super::*;

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn users() -> Key {
    Key::new(Kind::Backend, "default", "users")
}

fn level(target: &str, standing: TargetStanding, since: u64, reason: &str) -> TargetLevel {
    TargetLevel {
        backend: users().to_string(),
        target: target.to_owned(),
        standing: standing.into(),
        since,
        reason: reason.to_owned(),
        ..Default::default()
    }
}

fn report(sequence: u64, base: u64, targets: Vec<TargetLevel>) -> Report {
    let bytes = wire::Report { sequence, base, targets, ..Default::default() }.encode_to_vec();
    Report::read(&bytes).unwrap().0
}

use TargetStanding::{In, NotChecked, Out};

#[test]
fn most_of_the_workers_decide_about_a_target() {
    let mut reports = Reports::default();
    for (id, standing, since) in [("a", In, 7), ("b", Out, 5), ("c", In, 6)] {
        let target = level("t", standing, since, if standing == Out { "status 503" } else { "" });
        assert_eq!(reports.take(id, report(1, 0, vec![target]), at(0)), Taken::Taken);
    }
    let health = reports.health().of(&users());
    let target = health.targets.first().unwrap();
    assert_eq!((target.ready, target.out, target.is_ready()), (2, 1, Some(true)));
    assert!(target.is_disputed());
    assert_eq!((target.since, target.reason.as_deref()), (Some(6), Some("status 503")));
    assert_eq!(health.ready(), 1);
    reports.forget("c");
    let health = reports.health().of(&users());
    assert_eq!(health.targets.first().unwrap().is_ready(), Some(false), "one of two isn't most of them");
    assert_eq!(health.targets.first().unwrap().since, Some(5));
}

#[test]
fn nobody_s_word_is_no_verdict() {
    let mut reports = Reports::default();
    assert_eq!(reports.health().of(&users()).targets, []);
    let open = TargetLevel { breaker: wire::TargetBreaker::Open.into(), ..level("t", NotChecked, 0, "") };
    reports.take("a", report(1, 0, vec![open]), at(0));
    let health = reports.health().of(&users());
    let target = health.targets.first().unwrap();
    assert_eq!((target.is_ready(), target.since, target.open_breakers), (None, None, 1));
    let counts = Counts { not_checked: 1, open_breakers: 1, ..Counts::default() };
    assert_eq!((reports.counts("a"), reports.counts("b")), (Some(counts), None));
}

#[test]
fn a_change_is_taken_onto_its_base_only() {
    let mut reports = Reports::default();
    assert_eq!(
        reports.take("a", report(2, 1, vec![]), at(0)),
        Taken::Gap,
        "nothing is known after a restart"
    );
    let all = vec![level("t", In, 1, ""), level("u", In, 1, "")];
    assert_eq!(reports.take("a", report(3, 0, all.clone()), at(1)), Taken::Taken);
    assert_eq!(reports.take("a", report(3, 0, vec![]), at(2)), Taken::Late, "repeated");
    assert_eq!(reports.take("a", report(6, 5, vec![]), at(2)), Taken::Gap);
    let gone = TargetLevel { gone: true, ..level("t", NotChecked, 0, "") };
    assert_eq!(reports.take("a", report(4, 3, vec![gone, level("u", Out, 2, "x")]), at(2)), Taken::Taken);
    let health = reports.health().of(&users());
    assert_eq!(health.targets.iter().map(|it| (&*it.target, it.out)).collect::<Vec<_>>(), [("u", 1)]);
    assert_eq!(reports.take("a", report(2, 0, all), at(3)), Taken::Late);
    assert_eq!(reports.take("a", report(7, 0, vec![]), at(4)), Taken::Taken);
    assert_eq!(reports.health().backends().len(), 0, "a whole report leaves nothing of those before");
}

#[test]
fn who_is_silent_is_no_longer_believed() {
    let mut reports = Reports::default();
    reports.take("a", report(1, 0, vec![level("t", In, 1, "")]), at(0));
    reports.take("b", report(1, 0, vec![level("t", Out, 1, "")]), at(10));
    let ttl = MEMBER_TTL;
    reports.sweep(ttl + at(9), |_| true);
    assert!(reports.of("a").is_none() && reports.of("b").is_some());
    assert_eq!(reports.health().of(&users()).targets.first().unwrap().is_ready(), Some(false));
    reports.sweep(ttl + at(9), |id| id != "b");
    assert_eq!(reports.health().backends().len(), 0);
    assert_eq!(reports.take("a", report(2, 1, vec![]), ttl + at(11)), Taken::Gap);
}

#[test]
fn a_process_grows_older_between_its_reports() {
    let mut reports = Reports::default();
    let usage = Usage { uptime: 5_000, ..Default::default() };
    reports.take("a", Report { usage, ..report(1, 0, vec![]) }, at(1_000));
    assert_eq!(reports.of("a").unwrap().uptime(at(3_000)), at(7_000));
}

#[test]
fn what_is_no_report_is_refused_and_texts_are_bounded() {
    let read = |report: wire::Report| Report::read(&report.encode_to_vec());
    assert!(matches!(Report::read(&[0xff]), Err(ReportError::Malformed(_))));
    for (sequence, base) in [(0, 0), (3, 3), (3, 4)] {
        let error = read(wire::Report { sequence, base, ..Default::default() }).unwrap_err();
        assert_eq!(error, ReportError::Sequence { sequence, base });
    }
    let node = Node { admin: "x".repeat(MAX_NODE_BYTES + 1), ..Default::default() };
    let error = read(wire::Report { sequence: 1, node: Some(node), ..Default::default() }).unwrap_err();
    assert!(matches!(error, ReportError::Node(_)), "{error}");
    let mut strange = level("t", In, 1, "");
    strange.backend = "route/default/users".to_owned();
    let long = level(&"é".repeat(MAX_TEXT), Out, 1, &"é".repeat(MAX_TEXT));
    let unknown = TargetLevel { standing: 99, breaker: 99, ..level("u", In, 1, "") };
    let targets = report(1, 0, vec![strange, long, unknown]).targets;
    assert_eq!(targets.len(), 2, "no backend is a route");
    let ((_, id), level) = targets.first().unwrap();
    assert_eq!((id.len(), level.as_ref().unwrap().reason.as_ref().unwrap().len()), (MAX_TEXT, MAX_TEXT));
    let unknown = targets.last().unwrap().1.as_ref().unwrap();
    assert_eq!((unknown.standing, unknown.breaker), (Standing::NotChecked, Breaker::Closed));
}

#[test]
fn more_targets_than_a_worker_tells_of_are_refused_before_anything_is_made_of_them() {
    let encode = |count| wire::Report {
        sequence: 1,
        targets: vec![TargetLevel::default(); count],
        ..Default::default()
    };
    let read = |count| Report::read(&encode(count).encode_to_vec());
    assert!(read(MAX_TARGETS).is_ok());
    let error = read(MAX_TARGETS + 1).unwrap_err();
    assert_eq!(error, ReportError::Targets(MAX_TARGETS + 1));
    // A damaged one behind them is never looked into.
    let mut bytes = encode(MAX_TARGETS + 1).encode_to_vec();
    bytes.extend([0x32, 1, 0xff]);
    assert_eq!(Report::read(&bytes).unwrap_err(), ReportError::Targets(MAX_TARGETS + 2));
    // Several descriptions of a process are merged.
    let node = Node { admin: "x".repeat(MAX_NODE_BYTES / 2), ..Default::default() };
    let one = wire::Report { sequence: 1, node: Some(node), ..Default::default() }.encode_to_vec();
    assert!(Report::read(&one).is_ok());
    assert!(matches!(Report::read(&one.repeat(2)), Err(ReportError::Node(_))));
    let cut = one.get(..one.len() - 1).unwrap();
    assert!(matches!(Report::read(cut), Err(ReportError::Malformed(_))));
    let long = TargetLevel { backend: format!("backend/x/{}", "y".repeat(2_000)), ..level("t", In, 1, "") };
    assert_eq!(report(1, 0, vec![long]).targets, [], "no backend has such a name");
}

#[test]
fn changes_do_not_add_up_to_more_targets_than_a_worker_tells_of() {
    let mut reports = Reports::default();
    let names = |from: usize, count: usize| (from..from + count).map(|id| level(&id.to_string(), In, 1, ""));
    let all = names(0, MAX_TARGETS - 1).collect();
    assert_eq!(reports.take("a", report(1, 0, all), at(0)), Taken::Taken);
    let again = names(0, 1).chain(names(MAX_TARGETS, 1)).collect();
    assert_eq!(reports.take("a", report(2, 1, again), at(1)), Taken::Taken);
    assert_eq!(reports.take("a", report(3, 2, names(MAX_TARGETS + 1, 1).collect()), at(2)), Taken::Gap);
    assert_eq!(reports.counts("a").unwrap().ready, MAX_TARGETS);
    assert_eq!(reports.take("a", report(3, 0, names(5, 2).collect()), at(3)), Taken::Taken);
    let gone = TargetLevel { gone: true, ..level("5", In, 1, "") };
    assert_eq!(reports.take("a", report(4, 3, vec![gone]), at(4)), Taken::Taken);
    let room = names(100, MAX_TARGETS - 1).collect();
    assert_eq!(reports.take("a", report(5, 4, room), at(5)), Taken::Taken, "what is gone counts no more");
}

/// What may become of a report on its way.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Delivered,
    /// It never arrives.
    Lost,
    /// It arrives, and the worker doesn't hear of it.
    Unanswered,
    /// It fails for the worker, and arrives again behind the next one.
    Delayed,
    /// The leader restarts before it.
    Restarted,
}

fn fates() -> impl Strategy<Value = Vec<(Fate, [u8; 4])>> {
    let fate = prop_oneof![
        4 => Just(Fate::Delivered),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Unanswered),
        1 => Just(Fate::Delayed),
        1 => Just(Fate::Restarted),
    ];
    prop::collection::vec((fate, prop::array::uniform4(0_u8..4)), 1..40)
}

/// Each target is absent, or one of three standings.
fn levels(of: [u8; 4]) -> Levels {
    let standings = [None, Some(NotChecked), Some(In), Some(Out)];
    let targets = of.iter().zip(["a", "b", "c", "d"]).filter_map(|(index, id)| {
        standings.get(usize::from(*index)).copied().flatten().map(|standing| level(id, standing, 1, ""))
    });
    Levels::new(Node::default(), Usage::default(), targets.collect())
}

fn take(reports: &mut Reports, bytes: &[u8], now: Duration) -> Delivery {
    match reports.take("w", Report::read(bytes).unwrap().0, now) {
        Taken::Taken | Taken::Late => Delivery::Taken,
        Taken::Gap => Delivery::Gap,
    }
}

proptest! {
    /// Whatever happened on the way: two reports that arrive make the leader see what the worker sees.
    #[test]
    fn what_arrives_in_the_end_is_what_the_leader_knows(fates in fates()) {
        let (mut worker, mut leader) = (Reporting::default(), Reports::default());
        let (mut now, mut late) = (at(0), None::<Vec<u8>>);
        let end = fates.last().unwrap().1;
        let calm = [(Fate::Delivered, end); 2];
        for (fate, targets) in fates.into_iter().chain(calm) {
            now += at(6_000);
            let report = worker.next(levels(targets), now).unwrap();
            let (sequence, bytes) = (report.sequence, report.encode_to_vec());
            let delivery = match fate {
                Fate::Delivered => take(&mut leader, &bytes, now),
                Fate::Lost => Delivery::Failed,
                Fate::Unanswered => {
                    take(&mut leader, &bytes, now);
                    Delivery::Failed
                }
                Fate::Delayed => {
                    late = Some(bytes);
                    worker.delivered(sequence, Delivery::Failed, now);
                    continue;
                }
                Fate::Restarted => {
                    leader = Reports::default();
                    take(&mut leader, &bytes, now)
                }
            };
            worker.delivered(sequence, delivery, now);
            if let Some(late) = late.take() {
                take(&mut leader, &late, now);
            }
        }
        let mut fresh = Reports::default();
        fresh.take("w", report(1, 0, levels(end).targets().to_vec()), now);
        prop_assert_eq!(leader.health().backends(), fresh.health().backends());
    }
}

/// What one of three workers says or that it is forgotten: all of it, or what changed.
#[derive(Clone, Debug)]
enum Word {
    All(usize, [u8; 6]),
    Change(usize, [u8; 6]),
    Forgotten(usize),
}

fn words() -> impl Strategy<Value = Vec<Word>> {
    let (worker, said) = (0_usize..3, prop::array::uniform6(0_u8..8));
    let word = prop_oneof![
        2 => (worker.clone(), said.clone()).prop_map(|(worker, said)| Word::All(worker, said)),
        4 => (worker.clone(), said).prop_map(|(worker, said)| Word::Change(worker, said)),
        1 => worker.prop_map(Word::Forgotten),
    ];
    prop::collection::vec(word, 1..60)
}

/// Of six targets of two backends: 0 is gone, 7 isn't mentioned, others are a standing and a breaker.
fn said(of: [u8; 6]) -> Vec<(Subject, Option<Level>)> {
    let backend =
        |index: usize| Key::new(Kind::Backend, "default", if index < 3 { "users" } else { "orders" });
    let said = |(index, code): (usize, u8)| {
        let standing =
            [Standing::NotChecked, Standing::In, Standing::Out].get(usize::from(code) % 3).copied();
        let breaker = if code > 3 { Breaker::Open } else { Breaker::Closed };
        let level = Level { standing: standing.unwrap(), breaker, since: u64::from(code), reason: None };
        let subject = (backend(index), format!("t{}", index % 3).into());
        (code < 7).then_some((subject, (code > 0).then_some(level)))
    };
    of.into_iter().enumerate().filter_map(said).collect()
}

/// What each worker says, and nothing that is counted beforehand.
type Naive = BTreeMap<usize, BTreeMap<Subject, Level>>;

fn take_word(reports: &mut Reports, naive: &mut Naive, word: Word, sequence: u64) {
    let (worker, base, targets) = match word {
        Word::Forgotten(worker) => {
            naive.remove(&worker);
            return reports.forget(&worker.to_string());
        }
        Word::All(worker, of) => (worker, 0, said(of)),
        // Refused if the worker isn't known.
        Word::Change(worker, of) => (worker, 1, said(of)),
    };
    let report = Report { targets: targets.clone(), ..report(sequence, base, vec![]) };
    if reports.take(&worker.to_string(), report, at(0)) == Taken::Gap {
        assert!(!naive.contains_key(&worker));
        return;
    }
    let own = naive.entry(worker).or_default();
    if base == 0 {
        own.clear();
    }
    for (subject, level) in targets {
        drop(own.remove(&subject));
        own.extend(level.map(|level| (subject, level)));
    }
}

fn recounted(naive: &Naive) -> (Sums, BTreeMap<Key, BackendHealth>) {
    let mut levels: BTreeMap<&Subject, Vec<&Level>> = BTreeMap::new();
    naive.values().flatten().for_each(|(subject, level)| levels.entry(subject).or_default().push(level));
    let (mut sums, mut backends) = (Sums::default(), BTreeMap::<Key, BackendHealth>::new());
    for ((key, id), levels) in levels {
        let with = |standing| levels.iter().filter(move |level| level.standing == standing);
        let (ready, out) = (with(Standing::In).count(), with(Standing::Out).count());
        let open_breakers = levels.iter().filter(|level| level.breaker == Breaker::Open).count();
        let agreed = if ready > out { Standing::In } else { Standing::Out };
        let since = with(agreed).map(|level| level.since).min();
        sums.ready += usize::from(ready > out);
        sums.out += usize::from(out > 0 && out >= ready);
        sums.degraded += usize::from(ready > 0 && out > 0);
        let target = TargetHealth { target: id.clone(), ready, out, open_breakers, since, reason: None };
        backends.entry(key.clone()).or_default().targets.push(target);
    }
    (sums, backends)
}

fn counted<'l>(levels: impl Iterator<Item = &'l Level> + Clone) -> Counts {
    let with = |standing| levels.clone().filter(|level| level.standing == standing).count();
    let open_breakers = levels.clone().filter(|level| level.breaker == Breaker::Open).count();
    let (ready, out) = (with(Standing::In), with(Standing::Out));
    Counts { ready, out, not_checked: with(Standing::NotChecked), open_breakers }
}

proptest! {
    /// Whoever says what in whatever order: what is counted as it changes is what counting all gives.
    #[test]
    fn running_sums_are_those_of_a_naive_recount(words in words()) {
        let (mut reports, mut naive) = (Reports::default(), Naive::new());
        for (word, sequence) in words.into_iter().zip(2..) {
            take_word(&mut reports, &mut naive, word, sequence);
            let (sums, backends) = recounted(&naive);
            prop_assert_eq!(reports.health().sums(), sums);
            prop_assert_eq!(reports.health().backends(), backends.clone());
            for key in ["users", "orders"].map(|name| Key::new(Kind::Backend, "default", name)) {
                let expected = backends.get(&key).cloned().unwrap_or_default();
                prop_assert_eq!(reports.health().of(&key), expected);
            }
            for worker in 0..3 {
                let expected = naive.get(&worker).map(|levels| counted(levels.values()));
                prop_assert_eq!(reports.counts(&worker.to_string()), expected);
            }
        }
    }
}
