use dataplane_snapshot::{Scope, wire};
use operator_core::reports::{Report, Taken};
use operator_core::session::Identity;

use super::*;

#[tokio::test]
async fn the_status_tells_the_conditions_of_every_object() {
    let api = Api::start().await;
    api.write("POST", "/api/backends", &backend("users", "/")).await;
    let route = json!({ "id": "r", "frontend": { "domains": ["x.example.com"] }, "backend_ref": "none" });
    api.write("POST", "/api/routes", &route).await;
    let key = Key::new(Kind::Backend, "default", "cluster");
    let draft = operator_store::Draft { generation: None, labels: BTreeMap::new(), spec: "{}".into() };
    api.store.put(&key, operator_store::Expected::Absent, draft).await.unwrap();
    // Overviews follow a moment after the plan.
    let described = |status: &Value| {
        let line = |object: &Value| {
            let conditions = object["conditions"].as_array().unwrap().iter();
            let reasons: Vec<_> = conditions.map(|condition| condition["reason"].as_str().unwrap()).collect();
            let text = |field: &str| object[field].as_str().unwrap().to_owned();
            format!("{} {}/{}: {}", text("owner"), text("kind"), text("name"), reasons.join(" "))
        };
        status["objects"].as_array().unwrap().iter().map(line).collect::<Vec<_>>()
    };
    let expected = [
        "store route/r: Accepted BackendNotFound Held Held",
        "kubernetes backend/cluster: Accepted ResolvedRefs NotChecked NoWorkers NotProgrammed",
        "files backend/file: Accepted ResolvedRefs NotChecked NoWorkers NotProgrammed",
        "store backend/users: Accepted ResolvedRefs NotChecked NoWorkers NotProgrammed",
        "store backend/cluster: Conflict ResolvedRefs NotAccepted NotAccepted",
    ];
    loop {
        let status = api.get("/api/status").await;
        assert_eq!(status.status, StatusCode::OK);
        if described(&status.body) == expected {
            assert_eq!(status.body["root"].as_str().unwrap().len(), 64);
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Says of the first target of a backend whether it is in.
fn tell(api: &Api, worker: &str, sequence: u64, backend: &Key, target: &str, is_in: bool) {
    let standing = if is_in { wire::TargetStanding::In } else { wire::TargetStanding::Out };
    let level = wire::TargetLevel {
        backend: backend.to_string(),
        target: target.to_owned(),
        standing: standing.into(),
        reason: "status 503".to_owned(),
        ..Default::default()
    };
    let report = wire::Report { sequence, targets: vec![level], ..Default::default() };
    let identity = Identity {
        id: worker.into(),
        name: worker.into(),
        version: "1".into(),
        scope: Scope::default(),
        client: None,
        pod: None,
    };
    assert_eq!(api.cluster.take(identity, Report::from_wire(report).unwrap()), Some(Taken::Taken));
}

#[tokio::test]
async fn a_backend_is_as_healthy_as_the_workers_say() {
    let api = Api::start().await;
    let target = json!({ "hostname": "127.0.0.1", "port": 8080, "tls": false });
    let checked = json!({
        "id": "checked", "name": "checked",
        "backend": { "targets": [target], "health_check": { "enabled": true, "url": "/health" } },
    });
    let written = api.write("POST", "/api/backends", &checked).await;
    assert_eq!(written.status, StatusCode::CREATED, "{}", written.body);
    // What is shown follows a moment after what was told.
    let shows = async |reason: &str| loop {
        let status = api.get("/api/status").await.body;
        let objects = status["objects"].as_array().unwrap();
        let object = objects.iter().find(|object| object["name"] == "checked").cloned().unwrap_or_default();
        let conditions = object["conditions"].as_array().cloned().unwrap_or_default();
        let healthy = conditions.iter().find(|condition| condition["type"] == "Healthy");
        if let Some(healthy) = healthy.filter(|healthy| healthy["reason"] == reason) {
            return (healthy["status"].clone(), healthy["message"].clone(), object["ready"].clone());
        }
        tokio::task::yield_now().await;
    };
    shows("NotReported").await;
    let key = Key::new(Kind::Backend, "default", "checked");
    let id = "http://127.0.0.1:8080";
    tell(&api, "a", 1, &key, id, true);
    shows("AllTargetsHealthy").await;
    tell(&api, "c", 1, &key, id, true);
    tell(&api, "b", 1, &key, id, false);
    let told = format!("1/1 targets are ready; {id}: status 503 (1 of 3 workers)");
    assert_eq!(shows("Degraded").await, (json!("False"), json!(told), json!("1/1")));
    tell(&api, "c", 2, &key, id, false);
    assert_eq!(shows("NoHealthyTargets").await.2, "0/1");
    let figures = api.cluster.figures();
    let sums = figures.targets;
    assert_eq!((sums.ready, sums.out, sums.degraded), (0, 1, 1));
    assert_eq!(figures.colours, [0, 0, 3], "they have nothing in service");
}
