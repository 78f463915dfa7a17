use std::time::{SystemTime, UNIX_EPOCH};

use dataplane_core::limit::Calendar;
use dataplane_snapshot::Scope;
use dataplane_snapshot::wire::{UsageAnswer, UsageCounts, UsagePush, UsageTotal};
use operator_server::cluster::Client;
use operator_server::usage::Usage;
use operator_store::{EmbeddedSettings, EmbeddedStore, StateStore as _};

use super::*;

/// Today, as others are left out in time.
fn today() -> Calendar {
    Calendar::at(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
}

fn day() -> String {
    today().day().to_string()
}

fn total(route: &str, requests: u64) -> UsageTotal {
    let counts = UsageCounts { requests, ..UsageCounts::default() };
    UsageTotal { window: day(), route: route.into(), consumer: String::new(), counts: Some(counts) }
}

fn push(totals: &[UsageTotal]) -> UsagePush {
    UsagePush {
        member: None,
        totals: totals.to_vec(),
        limited: vec!["route/a/one".into(), "route/b/two".into()],
        windows: vec![day(), today().month().to_string()],
    }
}

struct Counting {
    leader: Leader,
    store: EmbeddedStore,
    _folder: tempfile::TempDir,
}

impl Counting {
    /// With a client whose workers may have namespace a only.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path().join("store"), EmbeddedSettings::default()).unwrap();
        let scope = Scope::new(&["a".to_owned()], &[], &[]).unwrap();
        let settings = ClusterSettings {
            clients: vec![Client { credentials: Credentials::new("part", "hush"), scope }],
            usage: Some(Arc::new(Usage::new(Arc::new(store.clone())))),
            ..ClusterSettings::new(Credentials::new("id", "secret"))
        };
        Self { leader: leader_with(settings), store, _folder: folder }
    }

    async fn push_as(&self, pair: &str, id: &str, push: &UsagePush) -> (StatusCode, Bytes) {
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        let mut request = request("POST", "/api/cluster/usage");
        let headers = request.headers_mut().unwrap();
        headers.insert("authorization", format!("Basic {pair}").parse().unwrap());
        headers.insert("komainu-worker-id", id.parse().unwrap());
        let response = self.leader.send(request.body(push.encode_to_vec().into())).await;
        (response.status(), body(response).await)
    }

    async fn told(&self, pair: &str, id: &str, push: &UsagePush) -> UsageAnswer {
        let (status, body) = self.push_as(pair, id, push).await;
        assert_eq!(status, StatusCode::OK, "{body:?}");
        UsageAnswer::decode(body).unwrap()
    }
}

fn requests(answer: &UsageAnswer) -> Vec<(String, u64)> {
    answer.sums.iter().map(|sum| (sum.route.clone(), sum.counts.unwrap_or_default().requests)).collect()
}

#[tokio::test]
async fn what_workers_count_is_summed_and_nothing_counts_twice() {
    let it = Counting::start();
    let first = push(&[total("", 1), total("route/a/one", 5)]);
    it.told("id:secret", "w1", &first).await;
    it.told("id:secret", "w2", &push(&[total("", 1), total("route/a/one", 7)])).await;
    let answer = it.told("id:secret", "w1", &first).await;
    assert_eq!(requests(&answer), [("route/a/one".to_owned(), 12)]);
    assert_eq!(answer.workers, 2);
    let more = it.told("id:secret", "w1", &push(&[total("", 2), total("route/a/one", 6)])).await;
    assert_eq!(requests(&more), [("route/a/one".to_owned(), 13)]);
    assert_eq!((more.leader == answer.leader, answer.leader.is_empty()), (true, false));
}

#[tokio::test]
async fn who_may_have_a_part_neither_counts_for_the_rest_nor_hears_of_it() {
    let it = Counting::start();
    let route = |name: &str| {
        let key = name.parse().unwrap();
        Object::encode(key, &wire::Payload::Route(wire::Route::default()).into())
    };
    it.leader.publish_all(Snapshot::new([route("route/a/one"), route("route/b/two")], AsOf::default())).await;
    let both = push(&[total("", 1), total("route/a/one", 5), total("route/b/two", 5)]);
    it.told("id:secret", "w1", &both).await;
    let answer = it.told("part:hush", "w2", &both).await;
    assert_eq!(requests(&answer), [("route/a/one".to_owned(), 10)]);
    let rows = it.store.usage(&day(), None).await.unwrap();
    assert!(!rows.iter().any(|row| row.worker == "w2" && row.of.route == "route/b/two"));
    let other = UsagePush {
        member: Some(wire::Member { id: "w1".into(), name: "n".into(), version: "v".into() }),
        ..both
    };
    assert_eq!(it.push_as("part:hush", "w2", &other).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_is_no_push_is_refused() {
    let it = Counting::start();
    let window = UsageTotal { window: "today".into(), ..total("", 1) };
    let (status, said) = it.push_as("id:secret", "w1", &push(&[window])).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(String::from_utf8_lossy(&said).contains("2026-11-30"), "{said:?}");
    assert_eq!(it.push_as("id:wrong", "w1", &push(&[])).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(
        leader().send(request("POST", "/api/cluster/usage").body(Body::empty())).await.status(),
        StatusCode::NOT_FOUND
    );
}
