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
    // Verdicts follow a moment after the plan.
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
        "store route/r: Accepted BackendNotFound Held",
        "kubernetes backend/cluster: Accepted ResolvedRefs NoWorkers",
        "files backend/file: Accepted ResolvedRefs NoWorkers",
        "store backend/users: Accepted ResolvedRefs NoWorkers",
        "store backend/cluster: Conflict ResolvedRefs NotAccepted",
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
