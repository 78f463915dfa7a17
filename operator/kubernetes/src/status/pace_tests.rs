use std::sync::Arc;

use dataplane_snapshot::Kind;
use operator_core::{Acceptance, ObjectStatus, Refusal, RefusalReason};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    pace: Pace,
    start: Instant,
    revision: u64,
}

fn key(name: &str) -> Key {
    Key::new(Kind::Route, "default", name)
}

fn clock() -> Time {
    serde_json::from_value(serde_json::json!("2026-01-02T03:04:05Z")).unwrap()
}

fn verdict(name: &str, generation: i64, programmed: Programmed) -> (Key, Verdict) {
    let accepted = match programmed {
        Programmed::NotAccepted => Err(Refusal { reason: RefusalReason::Invalid, problems: Vec::new() }),
        _ => Ok(Acceptance::Active),
    };
    let status = ObjectStatus {
        key: key(name),
        owner: Owner::Kubernetes,
        generation,
        accepted,
        resolved_refs: Ok(()),
        warnings: Vec::new(),
        objects: Vec::new(),
    };
    (key(name), Verdict { status: Arc::new(status), programmed })
}

fn part(applied: usize) -> Programmed {
    Programmed::Propagating { applied, counted: 8 }
}

impl Bench {
    fn new() -> Self {
        let start = Instant::now();
        Self { pace: Pace::new(start), start, revision: 0 }
    }

    fn shown(&mut self, name: &str, generation: i64) {
        self.revision += 1;
        let present =
            Present { uid: "u".to_owned(), revision: self.revision, generation, ..Present::default() };
        self.pace.shown(key(name), present);
    }

    fn judged(&mut self, verdicts: impl IntoIterator<Item = (Key, Verdict)>) {
        self.pace.judged(&verdicts.into_iter().collect());
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
    let status = ObjectStatus { owner: Owner::Files, ..(*of_files.status).clone() };
    of_files.status = Arc::new(status);
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
    assert_eq!(types, ["Accepted", "ResolvedRefs", "Programmed"]);
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
