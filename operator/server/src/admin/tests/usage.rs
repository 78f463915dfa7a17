use dataplane_snapshot::wire::UsageCounts;
use operator_core::usage::{UsageKey, UsageRow};

use super::*;

fn row(worker: &str, route: &str, consumer: &str, requests: u64) -> UsageRow {
    let of = UsageKey { window: "2026-11-30".into(), route: route.into(), consumer: consumer.into() };
    let counts =
        UsageCounts { requests, refused: 1, micros: 5_000, status_2xx: requests, ..UsageCounts::default() };
    UsageRow { of, worker: worker.into(), counts }
}

#[tokio::test]
async fn usage_is_shown_by_route_and_consumer() {
    let api = Api::start().await;
    let rows = [
        row("w1", "", "", 9),
        row("w1", "route/default/a", "", 2),
        row("w2", "route/default/a", "", 3),
        row("w2", "route/default/a", "192.0.2.1", 3),
        row("w1", "route/default/b", "", 1),
    ];
    api.store.raise_usage(&rows).await.unwrap();
    let all = api.get("/api/usage?window=2026-11-30").await.body;
    assert_eq!(all["window"], "2026-11-30");
    assert_eq!(all["routes"].as_object().unwrap().len(), 2, "signs of life aren't shown: {all}");
    let route = &all["routes"]["route/default/a"];
    let statuses = json!({ "1xx": 0, "2xx": 5, "3xx": 0, "4xx": 0, "5xx": 0 });
    assert_eq!(
        (&route["requests"], &route["refused"], &route["milliseconds"]),
        (&5.into(), &2.into(), &10.into())
    );
    assert_eq!(route["statuses"], statuses);
    assert_eq!(route["consumers"]["192.0.2.1"]["requests"], 3);
    let one = api.get("/api/usage?window=2026-11-30&route=default/b").await.body;
    assert_eq!(one["routes"].as_object().unwrap().keys().collect::<Vec<_>>(), ["route/default/b"]);
    assert_eq!(api.get("/api/usage").await.status, StatusCode::OK, "of today");
}

#[tokio::test]
async fn questions_about_usage_that_make_no_sense_are_refused() {
    let api = Api::start().await;
    for (query, word) in [("window=today", "2026-11-30"), ("route=a", "namespace/name"), ("day=1", "day")] {
        let refused = api.get(&format!("/api/usage?{query}")).await;
        assert_refused(&refused, StatusCode::BAD_REQUEST, &[word]);
    }
}
