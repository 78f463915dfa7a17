//! Servers that are killed and started again while three leaders write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use e2e::process::figure;
use e2e::servers::Server;
use operator_core::{Owner, SourceView};
use operator_store::suite::{draft, key};
use operator_store::{
    Candidate, Expected, StateStore, StoreError, StoredObject, open_shared, renew_shared, watch_view,
};
use tokio::sync::watch;

use crate::history::{Event, Seen, explain};
use crate::kinds::{fresh, ready};

const LEADERS: usize = 3;
const OBJECTS: usize = 2;
/// Acknowledged writes before, between and after the kills.
const WRITES: usize = 60;

type History = BTreeMap<String, Vec<Event>>;

fn value(object: &StoredObject) -> u64 {
    object.labels["root"].parse().unwrap()
}

/// Counts objects up until told to stop, and tells all that it sees.
async fn count_up(
    store: Arc<dyn StateStore>,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
) -> History {
    let mut history = History::new();
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        let name = format!("{}", turn % OBJECTS);
        let begin = Instant::now();
        let read = store.get(Owner::Store, &key(&name)).await;
        let Ok(Some(object)) = read else {
            assert!(matches!(read, Err(StoreError::Unavailable { .. })), "{read:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let events = history.entry(name.clone()).or_default();
        let seen = Seen::State { revision: object.revision, value: Some(value(&object)) };
        events.push(Event { begin, end: Instant::now(), seen });
        let (begin, expected, next) = (Instant::now(), object.revision, value(&object) + 1);
        let written = store.put(&key(&name), Expected::Revision(expected), draft(&next.to_string())).await;
        let seen = match written {
            Ok(object) => {
                acknowledged.fetch_add(1, Ordering::Relaxed);
                Seen::Written { expected, revision: object.revision, value: value(&object) }
            }
            Err(StoreError::Conflict { actual, .. }) => Seen::State { revision: actual, value: None },
            Err(StoreError::Unavailable { .. }) => continue,
            Err(error) => panic!("{error}"),
        };
        events.push(Event { begin, end: Instant::now(), seen });
    }
    history
}

fn counts(acknowledged: &[Arc<AtomicUsize>]) -> Vec<usize> {
    acknowledged.iter().map(|count| count.load(Ordering::Relaxed)).collect()
}

/// Until so many are written, and some by each: one that hasn't got its connection back yet would be alone with that.
async fn until_written(acknowledged: &[Arc<AtomicUsize>], more: usize) {
    let before = counts(acknowledged);
    let begin = Instant::now();
    loop {
        let written: Vec<_> =
            counts(acknowledged).into_iter().zip(&before).map(|(now, before)| now - before).collect();
        if written.iter().sum::<usize>() >= more && !written.contains(&0) {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "no writes any more");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn kill_in_the_middle_of_writes(server: Server, kind: &str, kills: usize) {
    let settings = fresh(&server);
    let mut leaders = Vec::new();
    for _ in 0..LEADERS {
        leaders.push(open_shared(&settings).await.unwrap());
    }
    for n in 0..OBJECTS {
        leaders[0].put(&key(&n.to_string()), Expected::Absent, draft("0")).await.unwrap();
    }
    let views: Vec<_> = leaders.iter().map(|store| follow(store.clone())).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged: Vec<_> = leaders.iter().map(|_| Arc::new(AtomicUsize::new(0))).collect();
    let counting: Vec<_> = leaders
        .iter()
        .zip(&acknowledged)
        .map(|(store, count)| tokio::spawn(count_up(store.clone(), stop.clone(), count.clone())))
        .collect();
    let server = Arc::new(server);
    for _ in 0..kills {
        until_written(&acknowledged, WRITES).await;
        server.kill();
        let again = server.clone();
        tokio::task::spawn_blocking(move || again.start()).await.unwrap();
    }
    until_written(&acknowledged, WRITES).await;
    stop.store(true, Ordering::Relaxed);

    let mut history = History::new();
    for counting in counting {
        for (name, mut events) in counting.await.unwrap() {
            history.entry(name).or_default().append(&mut events);
        }
    }
    // What is there in the end was seen last.
    for (name, events) in &mut history {
        let begin = Instant::now();
        let object = leaders[1].get(Owner::Store, &key(name)).await.unwrap().unwrap();
        let seen = Seen::State { revision: object.revision, value: Some(value(&object)) };
        events.push(Event { begin, end: Instant::now(), seen });
        explain(events).unwrap_or_else(|reason| panic!("{kind}, object {name}: {reason}"));
    }
    let listing = leaders[0].list(Owner::Store).await.unwrap();
    for mut view in views {
        let is_last = |view: &Option<Arc<SourceView>>| {
            view.as_ref().is_some_and(|view| Some(&view.as_of) == listing.as_of.as_ref())
        };
        let limit = Duration::from_secs(60);
        tokio::time::timeout(limit, view.wait_for(is_last)).await.unwrap().unwrap();
    }
    figure(&format!("stores_{kind}_acknowledged_writes"), counts(&acknowledged).into_iter().sum::<usize>());
    figure(&format!("stores_{kind}_kills"), kills);
    figure(&format!("stores_{kind}_events"), history.values().map(Vec::len).sum::<usize>());
}

fn follow(store: Arc<dyn StateStore>) -> watch::Receiver<Option<Arc<SourceView>>> {
    let (views, seen) = watch::channel(None);
    tokio::spawn(watch_view(store, Owner::Store, views));
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_keeps_what_it_acknowledged() {
    kill_in_the_middle_of_writes(started(Server::redis).await, "redis", 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_what_it_acknowledged() {
    kill_in_the_middle_of_writes(started(Server::postgres).await, "postgres", 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cassandra_keeps_what_it_acknowledged() {
    kill_in_the_middle_of_writes(started(Server::cassandra).await, "cassandra", 2).await;
}

async fn started(start: fn() -> Server) -> Server {
    tokio::task::spawn_blocking(move || ready(start())).await.unwrap()
}

/// A server that comes back with less than it had acknowledged isn't believed, until somebody says that it is meant.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lost_writes_is_not_believed() {
    let server = started(Server::redis).await;
    let settings = fresh(&server);
    let store = open_shared(&settings).await.unwrap();
    for name in ["a", "b"] {
        store.put(&key(name), Expected::Absent, draft("0")).await.unwrap();
    }
    let mut redis = redis_of(&server).await;
    let head = format!("{{{}}}:head", settings.prefix);
    let set = |revision: u64| {
        let mut set = redis::cmd("HSET");
        set.arg(&head).arg("revision").arg(revision);
        set
    };
    set(1).exec_async(&mut redis).await.unwrap();
    let error = store.put(&key("c"), Expected::Absent, draft("0")).await.unwrap_err();
    assert!(error.to_string().contains("lost writes: it is at revision 1, and was at 2"), "{error}");
    assert!(store.list(Owner::Store).await.is_err());
    assert_eq!(store.raise_usage(&[]).await, Err(error), "nor does it get counts");
    let epoch = store.epoch();
    renew_shared(&settings, std::time::SystemTime::now()).await.unwrap();
    store.put(&key("c"), Expected::Absent, draft("0")).await.unwrap();
    store.raise_usage(&[]).await.unwrap();
    assert!(epoch.is_some() && store.epoch() != epoch, "so that workers tell again what they have counted");
}

/// As after the restart of one that keeps nothing on its disk.
#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_is_not_believed_and_can_be_begun_anew() {
    let server = started(Server::redis).await;
    let settings = fresh(&server);
    let store = open_shared(&settings).await.unwrap();
    store.put(&key("a"), Expected::Absent, draft("1")).await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut redis_of(&server).await).await.unwrap();
    let candidate = Candidate { id: "a".to_owned(), url: "http://a".to_owned() };
    let errors = [
        store.hold("job", &candidate, Duration::from_secs(9)).await.unwrap_err(),
        store.list(Owner::Store).await.unwrap_err(),
        store.raise_usage(&[]).await.unwrap_err(),
        store.usage("2026-12-01", None).await.unwrap_err(),
        store.put(&key("b"), Expected::Absent, draft("1")).await.unwrap_err(),
    ];
    for error in errors {
        assert!(error.to_string().contains("another store now, or none"), "{error}");
    }
    let anew = open_shared(&settings).await.unwrap();
    assert_eq!(anew.put(&key("b"), Expected::Absent, draft("1")).await.unwrap().revision, 1);
    assert!(anew.hold("job", &candidate, Duration::from_secs(9)).await.unwrap().is_me);
    assert!(store.list(Owner::Store).await.is_err(), "who knew the one before goes on to refuse it");
}

async fn redis_of(server: &Server) -> redis::aio::MultiplexedConnection {
    redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}
