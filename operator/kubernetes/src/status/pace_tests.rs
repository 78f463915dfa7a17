use std::time::Duration;

use crds::TargetCounts;
use dataplane_snapshot::Kind;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use operator_core::healthy::HealthyReason::{AllTargetsHealthy, Degraded, NoHealthyTargets, NotReported};
use operator_core::healthy::{Healthy, HealthyReason, Tally};
use operator_core::programmed::{Programmed, Verdict};
use operator_core::{Acceptance, ObjectStatus, Refusal, RefusalReason};

use super::*;
use crate::status::entry::{PATIENCE, PROGRESS, REPORTS};

const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    pace: Pace,
    overviews: Overviews,
    start: Instant,
    revision: u64,
}

fn key(name: &str) -> Key {
    Key::new(Kind::Route, "default", name)
}

fn clock() -> Time {
    serde_json::from_value(serde_json::json!("2026-01-02T03:04:05Z")).unwrap()
}

fn verdict(name: &str, generation: i64, programmed: Programmed) -> (Key, Overview) {
    let accepted = match programmed {
        Programmed::NotAccepted => Err(Refusal { reason: RefusalReason::Invalid, problems: Vec::new() }),
        _ => Ok(Acceptance::Active),
    };
    let status = ObjectStatus {
        key: key(name),
        owner: Owner::Kubernetes,
        generation,
        uid: String::new(),
        accepted,
        resolved_refs: Ok(()),
        warnings: Vec::new(),
        overlaps: Vec::new(),
        objects: Vec::new(),
        targets: Vec::new(),
        destinations: Vec::new(),
        backends: Vec::new(),
    };
    let verdict = Verdict { status: Arc::new(status), programmed };
    let overview = Overview {
        verdict,
        healthy: None,
        tally: Tally::default(),
        lacking: Vec::new(),
        awaits_reports: false,
        used_up: None,
    };
    (key(name), overview)
}

/// Of an object that is programmed, how its targets are.
fn health(name: &str, generation: i64, reason: HealthyReason, ready: &str) -> (Key, Overview) {
    let (key, mut overview) = verdict(name, generation, Programmed::True);
    overview.healthy = Some(Healthy { reason, message: ready.to_owned() });
    overview.tally.ready = Some(ready.to_owned());
    overview.awaits_reports = reason == NotReported;
    (key, overview)
}

fn part(applied: usize) -> Programmed {
    Programmed::Propagating { applied, counted: 8 }
}

impl Bench {
    fn new() -> Self {
        let start = Instant::now();
        Self { pace: Pace::new(start), overviews: Overviews::default(), start, revision: 0 }
    }

    fn shown(&mut self, name: &str, generation: i64) {
        self.revision += 1;
        let present =
            Present { uid: "u".to_owned(), revision: self.revision, generation, ..Present::default() };
        self.pace.shown(key(name), present);
    }

    fn judged(&mut self, overviews: impl IntoIterator<Item = (Key, Overview)>) {
        let entries = overviews.into_iter().map(|(key, overview)| (key, Some(Arc::new(overview))));
        self.overviews.apply(entries);
        self.pace.looked(&self.overviews);
    }

    /// What is written `after` the start; all writes succeed.
    fn written(&mut self, after: Duration) -> Vec<Write> {
        let now = self.start + after;
        let writes = self.pace.due(usize::MAX, now, &clock());
        for write in &writes {
            self.revision += 1;
            let present = Present {
                uid: write.uid.clone(),
                revision: self.revision,
                generation: write.observed_generation,
                observed_generation: Some(write.observed_generation),
                tally: write.tally.clone(),
                conditions: write.conditions.clone(),
            };
            self.pace.done(write.key.clone(), present);
        }
        writes
    }

    /// The Programmed conditions written `after` the start, as text.
    fn programmed(&mut self, after: Duration) -> Vec<String> {
        let text = |write: &Write| {
            let condition =
                write.conditions.iter().find(|condition| condition.type_ == "Programmed").unwrap();
            format!("{} {} {}", write.key.name(), condition.reason, condition.message)
        };
        self.written(after).iter().map(text).collect()
    }

    /// The reasons of Healthy and the counts written `after` the start.
    fn healthy(&mut self, after: Duration) -> Vec<String> {
        let text = |write: &Write| {
            let condition = write.conditions.iter().find(|condition| condition.type_ == "Healthy").unwrap();
            format!("{} {}", condition.reason, write.tally.ready.as_deref().unwrap_or_default())
        };
        self.written(after).iter().map(text).collect()
    }

    fn next(&self, after: Duration) -> Option<Duration> {
        Some(self.pace.next(self.start + after)? - self.start)
    }
}

#[test]
fn nothing_is_written_without_object_or_verdict() {
    let mut bench = Bench::new();
    bench.shown("a", 1);
    assert_eq!(bench.written(Duration::ZERO), []);
    let mut bench = Bench::new();
    bench.judged([verdict("a", 1, Programmed::True)]);
    assert_eq!(bench.written(Duration::ZERO), []);
    assert_eq!(bench.next(Duration::ZERO), None);
}

#[test]
fn programmed_is_written_once_when_it_is_reached() {
    let mut bench = Bench::new();
    bench.shown("a", 1);
    bench.judged([verdict("a", 1, part(0))]);
    assert_eq!(bench.written(Duration::ZERO), []);
    assert_eq!(bench.next(Duration::ZERO), Some(PATIENCE));
    bench.judged([verdict("a", 1, Programmed::True)]);
    assert_eq!(bench.programmed(SECOND / 10), ["a Programmed "]);
    assert_eq!(bench.written(SECOND), []);
    assert_eq!(bench.next(SECOND), None);
}

#[test]
fn that_some_are_missing_is_written_when_it_lasts_and_then_now_and_then() {
    let mut bench = Bench::new();
    bench.shown("a", 1);
    bench.judged([verdict("a", 1, part(1))]);
    assert_eq!(bench.written(Duration::ZERO), []);
    assert_eq!(bench.programmed(PATIENCE), ["a Propagating 1/8"]);
    bench.judged([verdict("a", 1, part(7))]);
    assert_eq!(bench.written(SECOND), []);
    assert_eq!(bench.next(SECOND), Some(PATIENCE + PROGRESS));
    assert_eq!(bench.programmed(PATIENCE + PROGRESS), ["a Propagating 7/8"]);
    bench.judged([verdict("a", 1, Programmed::True)]);
    assert_eq!(bench.programmed(PATIENCE + PROGRESS + SECOND / 100), ["a Programmed "]);
}

#[test]
fn a_refusal_is_written_at_once() {
    let mut bench = Bench::new();
    bench.shown("a", 1);
    bench.judged([verdict("a", 1, Programmed::NotAccepted)]);
    let writes = bench.written(Duration::ZERO);
    let accepted = writes.first().unwrap().conditions.first().unwrap();
    assert_eq!(
        (accepted.type_.as_str(), accepted.status.as_str(), accepted.reason.as_str()),
        ("Accepted", "False", "Invalid")
    );
    assert_eq!(accepted.observed_generation, Some(1));
}

#[test]
fn what_is_said_about_another_generation_waits() {
    let mut bench = Bench::new();
    bench.shown("a", 2);
    bench.judged([verdict("a", 1, Programmed::True)]);
    assert_eq!(bench.written(SECOND), []);
    bench.judged([verdict("a", 2, Programmed::True)]);
    assert_eq!(bench.written(SECOND).len(), 1);
}

#[test]
fn what_is_programmed_stays_so_for_its_generation() {
    let mut bench = Bench::new();
    bench.shown("a", 1);
    bench.judged([verdict("a", 1, Programmed::True)]);
    assert_eq!(bench.written(Duration::ZERO).len(), 1);
    bench.judged([verdict("a", 1, Programmed::NoWorkers)]);
    assert_eq!(bench.written(SECOND * 60), []);
}

#[test]
fn old_news_is_dropped_unless_the_object_is_another() {
    let mut bench = Bench::new();
    bench.shown("a", 1);
    bench.judged([verdict("a", 1, Programmed::True)]);
    assert_eq!(bench.written(Duration::ZERO).len(), 1);
    bench
        .pace
        .shown(key("a"), Present { uid: "u".to_owned(), revision: 1, generation: 1, ..Present::default() });
    assert_eq!(bench.written(SECOND), [], "the watch tells what was before the write");
    bench
        .pace
        .shown(key("a"), Present { uid: "v".to_owned(), revision: 1, generation: 1, ..Present::default() });
    assert_eq!(bench.written(SECOND).first().unwrap().uid, "v");
}

#[test]
fn nothing_is_written_to_what_is_gone() {
    let mut bench = Bench::new();
    for name in ["a", "b"] {
        bench.shown(name, 1);
    }
    bench.judged([verdict("a", 1, Programmed::True), verdict("b", 1, Programmed::True)]);
    bench.pace.gone(&key("a"));
    bench.pace.only(&BTreeMap::new(), |key| key.name() == "b");
    assert_eq!(bench.written(SECOND), []);
}

#[test]
fn objects_of_others_are_skipped() {
    let mut bench = Bench::new();
    bench.shown("a", 1);
    let (key, mut of_files) = verdict("a", 1, Programmed::True);
    let status = ObjectStatus { owner: Owner::Files, ..(*of_files.verdict.status).clone() };
    of_files.verdict.status = Arc::new(status);
    bench.judged([(key, of_files)]);
    assert_eq!(bench.written(SECOND), []);
}

#[test]
fn conditions_of_others_are_neither_sent_nor_counted() {
    let mut bench = Bench::new();
    let foreign: Condition = serde_json::from_value(serde_json::json!({
        "type": "Audited", "status": "True", "reason": "Seen", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }))
    .unwrap();
    let present =
        Present { uid: "u".to_owned(), generation: 1, conditions: vec![foreign], ..Present::default() };
    bench.pace.shown(key("a"), present);
    bench.judged([verdict("a", 1, Programmed::True)]);
    let writes = bench.written(Duration::ZERO);
    let types: Vec<_> = writes.first().unwrap().conditions.iter().map(|one| one.type_.as_str()).collect();
    assert_eq!(types, ["Accepted", "ResolvedRefs", "Programmed", "Ready"]);
}

#[test]
fn a_failed_write_is_tried_again_later_and_later() {
    let mut bench = Bench::new();
    bench.shown("a", 1);
    bench.judged([verdict("a", 1, Programmed::True)]);
    let mut at = bench.start;
    for pause in [1, 2, 4, 8, 16, 30, 30] {
        assert_eq!(bench.pace.due(1, at, &clock()).len(), 1, "in flight once");
        assert_eq!(bench.pace.due(1, at, &clock()).len(), 0);
        bench.pace.failed(&key("a"), at);
        assert_eq!(bench.pace.due(1, at, &clock()).len(), 0);
        assert_eq!(bench.pace.next(at), Some(at + SECOND * pause));
        at += SECOND * pause;
    }
}

#[test]
fn a_burst_is_allowed_then_a_rate_and_changed_generations_come_first() {
    let mut bench = Bench::new();
    let names: Vec<_> = (0..600).map(|number| format!("r{number:03}")).collect();
    for name in &names {
        bench.shown(name, 1);
    }
    bench.judged(names.iter().map(|name| verdict(name, 1, Programmed::NotAccepted)));
    assert_eq!(bench.written(Duration::ZERO).len(), 500);
    assert_eq!(bench.written(SECOND / 2).len(), 25);
    // 75 have nothing written yet; r000 flips without another generation.
    let flipped = names.iter().map(|name| {
        verdict(name, 1, if name == "r000" { Programmed::True } else { Programmed::NotAccepted })
    });
    bench.judged(flipped.collect::<Vec<_>>());
    let writes = bench.written(SECOND * 3 / 2);
    assert_eq!(writes.len(), 50);
    assert!(writes.iter().all(|write| write.key.name() != "r000"));
}

/// With an object that is shown as healthy.
fn healthy_bench() -> Bench {
    let mut bench = Bench::new();
    bench.shown("a", 1);
    bench.judged([health("a", 1, AllTargetsHealthy, "3/3")]);
    assert_eq!(bench.healthy(Duration::ZERO), ["AllTargetsHealthy 3/3"]);
    bench
}

#[test]
fn the_first_write_of_a_generation_waits_for_what_comes_at_once() {
    let mut bench = healthy_bench();
    bench.shown("a", 2);
    bench.judged([health("a", 2, NotReported, "3/4")]);
    assert_eq!(bench.written(SECOND), []);
    bench.judged([health("a", 2, AllTargetsHealthy, "4/4")]);
    assert_eq!(bench.healthy(SECOND * 5 / 4), ["AllTargetsHealthy 4/4"]);

    bench.shown("a", 3);
    bench.judged([health("a", 3, NotReported, "4/5")]);
    assert_eq!(bench.written(SECOND * 2), []);
    assert_eq!(
        bench.healthy(SECOND * 2 + PATIENCE),
        ["NotReported 4/5"],
        "it is programmed, and that is told"
    );
}

#[test]
fn a_flip_is_written_at_once_also_when_it_comes_in_some_steps() {
    let mut bench = healthy_bench();
    let tenth = SECOND / 10;
    for step in 0..2 {
        let begin = SECOND + tenth * step;
        bench.judged([health("a", 1, Degraded, "2/3")]);
        assert_eq!(bench.healthy(begin), ["Degraded 2/3"]);
        bench.judged([health("a", 1, NoHealthyTargets, "0/3")]);
        assert_eq!(bench.healthy(begin), ["NoHealthyTargets 0/3"]);
        bench.judged([health("a", 1, AllTargetsHealthy, "3/3")]);
        assert_eq!(bench.healthy(begin), ["AllTargetsHealthy 3/3"]);
    }
    // What flips on and on is written now and then, as it is by then.
    bench.judged([health("a", 1, Degraded, "2/3")]);
    assert_eq!(bench.written(SECOND + tenth * 3), []);
    bench.judged([health("a", 1, NoHealthyTargets, "0/3")]);
    assert_eq!(bench.written(SECOND * 5), []);
    assert_eq!(bench.next(SECOND * 5), Some(SECOND * 6));
    assert_eq!(bench.healthy(SECOND * 6), ["NoHealthyTargets 0/3"]);
}

#[test]
fn what_flips_back_before_it_is_written_is_not_written() {
    let mut bench = healthy_bench();
    for (reason, ready) in [(Degraded, "2/3"), (AllTargetsHealthy, "3/3")].repeat(3) {
        bench.judged([health("a", 1, reason, ready)]);
        assert_eq!(bench.written(SECOND).len(), 1);
    }
    bench.judged([health("a", 1, Degraded, "2/3")]);
    assert_eq!(bench.written(SECOND), []);
    assert_eq!(bench.next(SECOND), Some(SECOND * 6), "the seventh waits");
    bench.judged([health("a", 1, AllTargetsHealthy, "3/3")]);
    assert_eq!(bench.written(SECOND * 2), []);
    assert_eq!(bench.next(SECOND * 2), None);
}

#[test]
fn mere_counts_settle_and_are_written_now_and_then() {
    let mut bench = healthy_bench();
    bench.judged([health("a", 1, AllTargetsHealthy, "4/4")]);
    assert_eq!(bench.written(SECOND), []);
    bench.judged([health("a", 1, AllTargetsHealthy, "5/5")]);
    let first = SECOND + PATIENCE;
    assert_eq!(bench.healthy(first), ["AllTargetsHealthy 5/5"]);
    bench.judged([health("a", 1, AllTargetsHealthy, "6/6")]);
    assert_eq!(bench.written(first + SECOND), []);
    assert_eq!(bench.next(first + SECOND), Some(first + PROGRESS));
    assert_eq!(bench.healthy(first + PROGRESS), ["AllTargetsHealthy 6/6"]);
    // A flip takes the counts along.
    bench.judged([health("a", 1, Degraded, "5/6")]);
    assert_eq!(bench.healthy(first + PROGRESS + SECOND / 10), ["Degraded 5/6"]);
}

#[test]
fn what_is_scaled_is_shown_soon() {
    let mut bench = healthy_bench();
    let sized = |total: u32| {
        let (key, mut overview) = health("a", 1, AllTargetsHealthy, &format!("{total}/{total}"));
        overview.tally.targets = Some(TargetCounts { total, ready: total, ejected: 0 });
        (key, overview)
    };
    for step in 1..=6 {
        let begin = SECOND + PATIENCE * (step - 1);
        bench.judged([sized(step)]);
        assert_eq!(bench.written(begin), []);
        assert_eq!(bench.healthy(begin + PATIENCE), [format!("AllTargetsHealthy {step}/{step}")]);
    }
    // One more is allowed each 5 s, as of flips.
    bench.judged([sized(7)]);
    assert_eq!(bench.written(SECOND * 4), [], "as in a long roll");
    assert_eq!(bench.next(SECOND * 5), Some(SECOND * 13 / 2));
}

#[test]
fn what_is_known_stays_until_the_reports_are_back() {
    let mut bench = healthy_bench();
    bench.judged([health("a", 1, NotReported, "0/3")]);
    assert_eq!(bench.written(SECOND), []);
    bench.judged([health("a", 1, AllTargetsHealthy, "3/3")]);
    assert_eq!(bench.written(SECOND * 2), [], "as after a restart of the leader");
    bench.judged([health("a", 1, NotReported, "0/3")]);
    assert_eq!(bench.written(SECOND * 3), []);
    assert_eq!(bench.healthy(SECOND * 3 + REPORTS), ["NotReported 0/3"]);
}

#[test]
fn while_somebody_else_writes_nothing_waits_and_then_only_what_differs_is_written() {
    let mut bench = healthy_bench();
    bench.shown("b", 1);
    bench.judged([health("a", 1, AllTargetsHealthy, "4/4"), verdict("b", 1, part(1))]);
    assert_eq!(bench.written(SECOND), []);
    bench.pace.rest();
    bench.judged([health("a", 1, AllTargetsHealthy, "3/3"), verdict("b", 1, part(2))]);
    assert_eq!(bench.written(SECOND * 60), [], "nothing differs of one, and the other one is looked at anew");
    assert_eq!(bench.next(SECOND * 60), Some(SECOND * 60 + PATIENCE));
    assert_eq!(bench.written(SECOND * 60 + PATIENCE).len(), 1);
}

#[test]
fn what_is_gone_leaves_nothing_behind() {
    let mut bench = healthy_bench();
    bench.judged([health("a", 1, Degraded, "2/3")]);
    bench.pace.gone(&key("a"));
    bench.overviews = Overviews::default();
    bench.pace.looked(&bench.overviews);
    assert_eq!(bench.written(SECOND), []);
    assert!(bench.pace.objects.is_empty() && bench.pace.waiting.is_empty() && bench.pace.due.is_empty());
}

#[test]
fn what_is_said_of_an_object_isnt_written_to_another_one_of_its_name() {
    let mut bench = Bench::new();
    let (key, overview) = verdict("a", 1, Programmed::True);
    let of = |uid: &str| {
        let mut overview = overview.clone();
        let status = ObjectStatus { uid: uid.to_owned(), ..(*overview.verdict.status).clone() };
        overview.verdict.status = Arc::new(status);
        (key.clone(), overview)
    };
    bench.judged([of("gone")]);
    bench.shown("a", 1);
    assert_eq!(bench.written(SECOND), []);
    bench.judged([of("u")]);
    assert_eq!(bench.written(SECOND).first().unwrap().uid, "u");
}

#[test]
fn a_late_answer_hides_neither_a_new_object_nor_that_there_is_none() {
    let mut bench = Bench::new();
    bench.judged([verdict("a", 1, Programmed::True)]);
    bench.shown("a", 1);
    let now = bench.start + SECOND;
    let write = bench.pace.due(1, now, &clock()).pop().unwrap();
    let answer =
        Present { uid: "u".to_owned(), revision: 9, conditions: write.conditions, ..Present::default() };
    bench.pace.gone(&key("a"));
    let other = Present { uid: "v".to_owned(), revision: 8, generation: 1, ..Present::default() };
    bench.pace.shown(key("a"), other);
    bench.pace.done(key("a"), answer.clone());
    assert_eq!(bench.written(SECOND).first().unwrap().uid, "v");

    bench.pace.gone(&key("a"));
    bench.pace.done(key("a"), answer);
    assert_eq!(bench.written(SECOND * 2), []);
}

#[test]
fn other_counts_wait_for_what_is_said_of_them() {
    let mut bench = healthy_bench();
    let (key, mut overview) = health("a", 1, NotReported, "0/2");
    overview.tally.targets = Some(TargetCounts { total: 2, ready: 0, ejected: 0 });
    bench.judged([(key, overview)]);
    assert_eq!(bench.written(SECOND), []);
    assert_eq!(bench.written(SECOND + PATIENCE), [], "workers tell of new targets soon");
    assert_eq!(bench.written(SECOND + REPORTS).len(), 1);
}
