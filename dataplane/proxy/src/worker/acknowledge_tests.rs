use std::sync::Mutex;

use dataplane_snapshot::Kind;
use prost::Message as _;
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};

use super::super::WorkerSettings;
use super::*;

fn rejected(count: usize, name: &str, reason: &str) -> Vec<(Key, String)> {
    let key = |number: usize| Key::new(Kind::Route, "default", format!("{name}{number}"));
    (0..count).map(|number| (key(number), reason.to_owned())).collect()
}

fn content(rejected: Vec<(Key, String)>) -> Content {
    Content { leader: 0, root: Root([7; 32]), as_of: AsOf::default(), rejected, refused: None }
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    for prefix in ["", "a", "ab", "abc"] {
        let reason = format!("{prefix}{}", "🚪".repeat(1000));
        let ack = encode(content(vec![]), [(Key::new(Kind::Listener, "settings", "http"), reason.clone())]);
        let told = &ack.rejected.first().unwrap().reason;
        assert!(told.len() <= MAX_REASON && told.len() > MAX_REASON - 8, "{}", told.len());
        assert!(reason.starts_with(told.strip_suffix('…').unwrap()));
    }
    let exact = "x".repeat(MAX_REASON);
    assert_eq!(bounded(exact.clone()), exact);
}

#[test]
fn a_refusal_of_the_whole_is_the_only_one_without_a_key() {
    let content = Content {
        refused: Some((Root([8; 32]), "x".repeat(100_000))),
        ..content(rejected(WITH_REASON * 2, "r", "bad"))
    };
    let ack = encode(content, []);
    assert_eq!(ack.rejected.len(), 1 + WITH_REASON * 2);
    let (whole, single) = ack.rejected.split_first().unwrap();
    assert!(whole.key.is_empty() && whole.reason.len() <= MAX_REASON);
    assert!(single.iter().all(|rejection| rejection.key.parse::<Key>().is_ok()));
    assert!(single.iter().all(|rejection| !rejection.reason.contains("more objects")), "all are listed");
}

#[test]
fn no_acknowledgement_is_longer_than_a_leader_accepts() {
    // The leader's own limit.
    const ACCEPTED: usize = 256 * 1024;
    let listener = (Key::new(Kind::Listener, "settings", "http"), "in use".to_owned());
    let long_name = "n".repeat(300);
    for (count, name) in [(300, "r"), (100_000, "r"), (10_000, &*long_name)] {
        let content = content(rejected(count, name, &"y".repeat(100_000 / count.min(100))));
        let ack = encode(content, [listener.clone()]);
        assert!(ack.encoded_len() <= ACCEPTED - 32 * 1024, "{} bytes", ack.encoded_len());
        let (first, last) = (ack.rejected.first().unwrap(), ack.rejected.last().unwrap());
        assert_eq!(first.key, "listener/settings/http", "listeners are never left out");
        let more = count + 1 - ack.rejected.len();
        assert_eq!(last.reason.ends_with(&format!("and {more} more objects were rejected")), more > 0);
        assert_eq!(ack.more_rejected, more > 0, "{count}");
    }
}

#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<usize>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn event(&self, _: &tracing::Event<'_>) {
        *self.0.lock().unwrap() += 1;
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn failures_in_a_row_are_warned_of() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url: LeaderUrl = format!("http://{free}").parse().unwrap();
    let settings = WorkerSettings::new(vec![url.clone()], "id".into(), "secret".into(), "worker".into());
    let client = Arc::new(Client::new(Arc::new(settings), "1".into()).unwrap());
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let (acks, deliveries) = mpsc::unbounded_channel();
    let (events, mut ends) = mpsc::unbounded_channel();
    tokio::spawn(deliver(client, deliveries, events));
    for (number, expected) in [(1, 0), (2, 1), (3, 2)] {
        let (attempt, ack) = (Some(Attempt(number)), encode(content(vec![]), []));
        assert!(acks.send(Delivery { attempt, url: url.clone(), ack }).is_ok());
        assert!(
            matches!(ends.recv().await, Some(Event::AckFailed { attempt }) if attempt == Attempt(number))
        );
        assert_eq!(*warnings.0.lock().unwrap(), expected);
    }
}
