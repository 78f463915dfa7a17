use operator_core::usage::UsageRow;

use super::*;

#[tokio::test]
async fn a_bad_entity_is_refused_with_everything_that_is_wrong() {
    let api = Api::start().await;
    let mut bad = backend("users", "/");
    bad["wheels"] = json!(4);
    bad["backend"]["targets"][0]["port"] = json!("eighty");
    let answer = api.write("POST", "/api/backends", &bad).await;
    assert_refused(&answer, StatusCode::BAD_REQUEST, &["bad_format", "wheels", "port"]);
    assert!(answer.body["problems"].as_array().unwrap().len() >= 2, "{}", answer.body);
    // What only planning finds.
    let mut route =
        json!({ "id": "r", "frontend": { "domains": ["x.example.com/$id<[>"] }, "backend_ref": "b" });
    let answer = api.write("POST", "/api/routes", &route).await;
    assert_refused(&answer, StatusCode::BAD_REQUEST, &["bad_format"]);
    route["frontend"]["domains"] = json!(["x.example.com/$id<[0-9]+>"]);
    let answer = api.write("POST", "/api/routes", &route).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    for body in ["", "[]", "{", "7"] {
        let answer = api.send("POST", "/api/backends", &[], body).await;
        assert_refused(&answer, StatusCode::BAD_REQUEST, &["JSON"]);
    }
    assert_eq!(api.get("/api/backends").await.headers["x-count"], "2", "only those of the other sources");
}

#[tokio::test]
async fn bodies_have_limits() {
    let api = Api::start().await;
    let large = " ".repeat(MAX_BODY_BYTES + 1);
    let answer = api.send("POST", "/api/backends", &[], large).await;
    assert_refused(&answer, StatusCode::PAYLOAD_TOO_LARGE, &["1048576 bytes"]);
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(500_000), "]".repeat(500_000));
    let answer = api.send("POST", "/api/backends", &[], deep).await;
    assert_refused(&answer, StatusCode::BAD_REQUEST, &["recursion"]);
}

#[tokio::test]
async fn of_several_leaders_with_a_store_each_none_takes_writes() {
    let api = Api::of_leaders(2).await;
    let answers = [
        api.write("POST", "/api/backends", &backend("users", "/")).await,
        api.write("PUT", "/api/backends/users", &backend("users", "/")).await,
        api.send("DELETE", "/api/backends/users", &[], "").await,
    ];
    for answer in answers {
        assert_refused(&answer, StatusCode::CONFLICT, &["no_shared_store", "2 leaders", "store.url"]);
    }
    assert_eq!(api.get("/api/backends/cluster").await.status, StatusCode::OK, "reading is possible");
}

#[tokio::test]
async fn what_belongs_to_others_is_not_changed_here() {
    let api = Api::start().await;
    for (id, words) in [("cluster", &["Kubernetes", "custom resource"][..]), ("file", &["gateway.yaml:3:1"])]
    {
        let path = format!("/api/backends/{id}");
        let answers = [
            api.write("POST", "/api/backends", &backend(id, "/")).await,
            api.write("PUT", &path, &backend(id, "/")).await,
            api.send("DELETE", &path, &[], "").await,
        ];
        for answer in answers {
            assert_refused(&answer, StatusCode::CONFLICT, words);
        }
        assert_eq!(api.get(&path).await.headers.get(header::ETAG), None);
    }
    // Of an object that was here before the other source had one of that name, the rest can be cleared away.
    let key = Key::new(Kind::Backend, "default", "cluster");
    let draft = operator_store::Draft { generation: None, labels: BTreeMap::new(), spec: "{}".into() };
    api.store.put(&key, operator_store::Expected::Absent, draft).await.unwrap();
    assert_eq!(api.send("DELETE", "/api/backends/cluster", &[], "").await.status, StatusCode::OK);
    assert_eq!(api.store.get(Owner::Store, &key).await.unwrap(), None);
}

#[tokio::test]
async fn nobody_unknown_is_let_in() {
    let api = Api::start().await;
    for (method, path) in [
        ("GET", "/api/backends"),
        ("POST", "/api/routes"),
        ("GET", "/api/status"),
        ("PATCH", "/api/routes/x"),
    ] {
        let request = HttpRequest::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = api.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
        assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
    }
    let patched = api.send("PATCH", "/api/routes/x", &[], "[]").await;
    assert_refused(&patched, StatusCode::METHOD_NOT_ALLOWED, &["PATCH"]);
}

#[tokio::test]
async fn a_store_that_fails_is_told_and_reads_go_on() {
    let api = Api::start().await;
    let mut admin = Admin {
        leaders: 1,
        store: Arc::new(LostStore),
        planned: watch::channel(None).1,
        overviews: watch::channel(Overviews::default()).1,
        usage: Arc::new(Usage::new(Arc::new(LostStore))),
        credentials: Credentials::new("admin", "secret"),
    };
    let not_ready = Api {
        router: router(admin.clone()),
        store: api.store.clone(),
        folder: tempfile::tempdir().unwrap(),
        cluster: api.cluster.clone(),
    };
    for answer in [
        not_ready.get("/api/backends").await,
        not_ready.write("POST", "/api/backends", &backend("a", "/")).await,
    ] {
        assert_refused(&answer, StatusCode::SERVICE_UNAVAILABLE, &["not_ready", "sources"]);
    }
    let (_views, source) = watch::channel(Some(foreign(Owner::Kubernetes, "cluster", Origin::Kubernetes)));
    admin.planned = Leader::start(Vec::new(), vec![source], Metrics::default()).planned;
    admin.planned.wait_for(Option::is_some).await.unwrap();
    let down = Api {
        router: router(admin),
        store: api.store.clone(),
        folder: tempfile::tempdir().unwrap(),
        cluster: api.cluster.clone(),
    };
    let refused = down.write("POST", "/api/backends", &backend("a", "/")).await;
    assert_refused(&refused, StatusCode::SERVICE_UNAVAILABLE, &["store_unavailable", "no space left"]);
    assert_eq!(down.get("/api/backends/cluster").await.status, StatusCode::OK);
}

/// A store that can't be reached.
struct LostStore;

fn lost<T>() -> Result<T, operator_store::StoreError> {
    Err(operator_store::StoreError::Unavailable { reason: "no space left".to_owned() })
}

#[async_trait::async_trait]
impl StateStore for LostStore {
    async fn get(
        &self,
        _: Owner,
        _: &Key,
    ) -> Result<Option<operator_store::StoredObject>, operator_store::StoreError> {
        lost()
    }
    async fn list(&self, _: Owner) -> Result<operator_store::Listing, operator_store::StoreError> {
        lost()
    }
    async fn changes_since(
        &self,
        _: Owner,
        _: u64,
    ) -> Result<operator_store::Changes, operator_store::StoreError> {
        lost()
    }
    async fn commit(
        &self,
        _: operator_store::Batch,
    ) -> Result<operator_store::Committed, operator_store::StoreError> {
        lost()
    }
    async fn raise_usage(&self, _: &[UsageRow]) -> Result<(), operator_store::StoreError> {
        lost()
    }
    async fn usage(
        &self,
        _: &str,
        _: Option<&[String]>,
    ) -> Result<Vec<UsageRow>, operator_store::StoreError> {
        lost()
    }
    async fn drop_usage(&self, _: &str) -> Result<(), operator_store::StoreError> {
        lost()
    }
    fn subscribe(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}
