use dataplane_snapshot::Scope;
use http::StatusCode;
use operator_core::session::Identity;
use operator_server::cluster::Introduction;

use super::*;

fn report(sequence: u64, base: u64, target: Option<wire::TargetStanding>) -> wire::Report {
    let level = target.map(|standing| wire::TargetLevel {
        backend: "backend/default/users".into(),
        target: "t".into(),
        standing: standing.into(),
        since: 7,
        reason: "status 503".into(),
        ..Default::default()
    });
    let node = wire::Node {
        mode: "worker".into(),
        location: Some(wire::NetworkLocation { zone: "z1".into(), ..Default::default() }),
        admin: "127.0.0.1:9001".into(),
        listeners: BTreeMap::from([("http".into(), "0.0.0.0:8080".into())]),
        settings_hash: "aa".into(),
        started_at: 5,
    };
    let usage = wire::Usage {
        uptime: 60_000,
        requests_per_second: 12.5,
        mean_latency: 1_500,
        p99_latency: 9_000,
        cores: 0.25,
        memory: 1 << 20,
    };
    let targets = level.into_iter().collect();
    wire::Report { member: None, sequence, base, node: Some(node), usage: Some(usage), targets }
}

impl Leader {
    async fn report(&self, id: &str, report: wire::Report) -> StatusCode {
        let mut request = request("POST", "/api/cluster/report");
        request.headers_mut().unwrap().insert("komainu-worker-id", id.parse().unwrap());
        self.send(request.body(report.encode_to_vec().into())).await.status()
    }

    async fn health(&self) -> serde_json::Value {
        let response = self.send(request("GET", "/api/cluster/health").body(Body::empty())).await;
        serde_json::from_slice(&body(response).await).unwrap()
    }
}

#[tokio::test]
async fn what_a_worker_says_is_shown_with_it() {
    let leader = leader();
    assert_eq!(
        leader.report("w1", report(1, 0, Some(wire::TargetStanding::Out))).await,
        StatusCode::NO_CONTENT
    );
    let members = leader.members().await;
    let member = &members[0];
    for (field, value) in [
        ("role", serde_json::json!("worker")),
        ("mode", "worker".into()),
        ("addresses", serde_json::json!(["127.0.0.1:9001"])),
        ("listeners", serde_json::json!({"http": "0.0.0.0:8080"})),
        ("settingsHash", "aa".into()),
        ("startedAtMs", 5.into()),
        ("requestsPerSecond", 12.5.into()),
        ("latencyMs", serde_json::json!({"mean": 1.5, "p99": 9.0})),
        ("cpuCores", 0.25.into()),
        ("memoryBytes", (1 << 20).into()),
        ("targets", serde_json::json!({"ready": 0, "out": 1, "notChecked": 0, "openBreakers": 0})),
    ] {
        assert_eq!(member[field], value, "{field}");
    }
    assert_eq!(member["location"]["zone"], "z1");
    assert!(member["uptimeMs"].as_u64().unwrap() >= 60_000);
    assert_eq!(leader.cluster.stats().reports, 1);
}

#[tokio::test]
async fn the_health_of_a_target_is_that_of_most_workers() {
    let leader = leader();
    assert_eq!(leader.health().await, serde_json::json!([]));
    for (id, standing) in [("w1", wire::TargetStanding::In), ("w2", wire::TargetStanding::Out)] {
        leader.report(id, report(1, 0, Some(standing))).await;
    }
    let target = serde_json::json!({
        "id": "t", "ready": false, "degraded": true, "readyFor": 1, "outFor": 1, "openBreakers": 0,
        "sinceMs": 7, "reason": "status 503",
    });
    let expected = |ready: usize, target| serde_json::json!([{"namespace": "default", "name": "users", "ready": ready, "targets": [target]}]);
    assert_eq!(leader.health().await, expected(0, target));
    let forget = request("DELETE", "/api/cluster/members/w2").body(Body::empty());
    assert_eq!(leader.send(forget).await.status(), StatusCode::NO_CONTENT);
    let target = serde_json::json!({
        "id": "t", "ready": true, "degraded": false, "readyFor": 1, "outFor": 0, "openBreakers": 0, "sinceMs": 7,
    });
    assert_eq!(leader.health().await, expected(1, target), "who is forgotten has no say");
}

#[tokio::test]
async fn a_change_of_what_is_not_known_asks_for_all() {
    let leader = leader();
    assert_eq!(leader.report("w1", report(2, 1, None)).await, StatusCode::CONFLICT);
    assert_eq!(leader.report("w1", report(3, 0, None)).await, StatusCode::NO_CONTENT);
    assert_eq!(leader.report("w1", report(4, 3, None)).await, StatusCode::NO_CONTENT);
    assert_eq!(leader.report("w1", report(3, 0, None)).await, StatusCode::NO_CONTENT, "late, and no harm");
    assert_eq!(leader.report("w1", report(4, 4, None)).await, StatusCode::BAD_REQUEST);
    let stranger = wire::Member { id: "a b".into(), name: "n".into(), version: "v".into() };
    let strange = wire::Report { member: Some(stranger), ..report(5, 0, None) };
    assert_eq!(leader.report("w1", strange).await, StatusCode::BAD_REQUEST);
    let other = wire::Member { id: "w2".into(), name: "n".into(), version: "v".into() };
    let of_other = wire::Report { member: Some(other), ..report(5, 0, None) };
    assert_eq!(leader.report("w1", of_other).await, StatusCode::BAD_REQUEST);
    assert!(!leader.cluster.members().iter().any(|member| member.identity.id == "w2"));
    assert_eq!(leader.cluster.stats().refused, 3);
}

#[tokio::test]
async fn a_held_poll_outlives_a_report() {
    let leader = leader();
    let root = leader.publish("one").await;
    let poll = request("GET", "/api/cluster/state").header("if-none-match", etag(root));
    let poll = poll.header("prefer", "wait=20").body(Body::empty()).unwrap();
    let held = tokio::spawn(leader.cluster.router().oneshot(poll));
    while leader.cluster.stats().held == 0 {
        tokio::task::yield_now().await;
    }
    leader.report("w1", report(1, 0, None)).await;
    assert_eq!(leader.members().await[0]["silentForMs"], 0, "it still waits");
    leader.publish("two").await;
    assert_eq!(held.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn the_leader_is_a_member_too_and_others_are_compared_with_it() {
    let leader = leader();
    let identity = Identity {
        id: "l1".into(),
        name: "chief".into(),
        version: "0.1.0".into(),
        scope: Scope::default(),
        client: None,
        pod: None,
    };
    let node = wire::Node { mode: "leader".into(), settings_hash: "bb".into(), ..Default::default() };
    let look = Box::new(move || (node.clone(), wire::Usage { uptime: 9, ..Default::default() }));
    leader.cluster.introduce(Introduction { identity, look });
    let alone = leader.members().await;
    assert_eq!((&alone[0]["role"], &alone[0]["colour"]), (&"leader".into(), &"red".into()), "{alone}");
    assert_eq!(alone[0]["problems"], serde_json::json!(["has no state yet"]));
    let root = leader.publish("one").await;
    leader.ack(wire::Ack { root: Bytes::copy_from_slice(&root.0), ..Default::default() }).await;
    leader.report("w1", report(1, 0, None)).await;
    let members = leader.members().await;
    assert_eq!(members.as_array().unwrap().len(), 2);
    assert_eq!((&members[0]["name"], &members[0]["colour"]), (&"chief".into(), &"green".into()));
    assert_eq!(members[0]["root"], root.to_string());
    assert_eq!(members[0]["asOf"]["files"]["revisions"]["route"], 7);
    assert_eq!((&members[1]["id"], &members[1]["colour"]), (&"w1".into(), &"orange".into()));
    assert_eq!(members[1]["problems"], serde_json::json!(["has other cluster settings than this leader"]));
}

#[tokio::test]
async fn two_live_workers_of_one_name_are_told_apart_and_flagged() {
    let leader = leader();
    leader.report("w1", report(1, 0, None)).await;
    assert_eq!(leader.members().await[0]["sameName"], false);
    leader.report("w2", report(1, 0, None)).await;
    let members = leader.members().await;
    let ids: Vec<_> = members.as_array().unwrap().iter().map(|member| &member["id"]).collect();
    assert_eq!(ids, ["w1", "w2"]);
    for member in members.as_array().unwrap() {
        assert_eq!((&member["name"], &member["sameName"]), (&"edge".into(), &true.into()));
        assert!(member["problems"].to_string().contains("shares its name"), "{member}");
    }
}
