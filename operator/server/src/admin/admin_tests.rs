use std::collections::BTreeMap;

use axum::body::Body;
use dataplane_snapshot::{Epoch, SourceAsOf};
use http::{Request as HttpRequest, StatusCode, header};
use http_body_util::BodyExt as _;
use operator_core::{Origin, Place, SourceView, Spec};
use operator_store::{EmbeddedSettings, EmbeddedStore, watch_view};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::leader::{Leader, Metrics, judge};

/// "admin:secret"
const BASIC: &str = "Basic YWRtaW46c2VjcmV0";

/// An admin API over a leader with a real store and one object of Kubernetes and of a file each.
struct Api {
    router: Router,
    store: EmbeddedStore,
    folder: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

fn foreign(owner: Owner, name: &str, origin: Origin) -> Arc<SourceView> {
    let as_of =
        SourceAsOf { epoch: Epoch { id: owner.to_string(), created_at: 1 }, revisions: BTreeMap::new() };
    let key = Key::new(Kind::Backend, "default", name);
    let spec = json!({ "targets": [{ "hostname": "10.0.0.1", "port": 80 }] });
    let observed = Observed {
        key: key.clone(),
        spec: Spec::Backend(Arc::new(serde_json::from_value(spec).unwrap())),
        labels: BTreeMap::new(),
        generation: 1,
        origin,
    };
    Arc::new(SourceView { owner, as_of, objects: BTreeMap::from([(key, Arc::new(observed))]) })
}

impl Api {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path().join("store"), EmbeddedSettings::default()).unwrap();
        let (views, source) = watch::channel(None);
        tokio::spawn(watch_view(Arc::new(store.clone()), Owner::Store, views));
        let place = Place { file: "gateway.yaml".into(), line: 3, column: 1 };
        let others = [
            foreign(Owner::Kubernetes, "cluster", Origin::Kubernetes),
            foreign(Owner::Files, "file", Origin::File(place)),
        ];
        let others = others.map(|view| watch::channel(Some(view)).1);
        let leader =
            Leader::start(Vec::new(), others.into_iter().chain([source]).collect(), Metrics::default());
        let (changes, changed) = watch::channel(0);
        let verdicts = judge(leader.planned.clone(), changed, Vec::new);
        leader.planned.clone().wait_for(Option::is_some).await.unwrap();
        // For as long as the router lives.
        tokio::spawn(async move { changes.closed().await });
        let router = router(Admin {
            store: Arc::new(store.clone()),
            planned: leader.planned,
            verdicts,
            credentials: Credentials::new("admin", "secret"),
        });
        Self { router, store, folder }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request =
            HttpRequest::builder().method(method).uri(path).header(header::AUTHORIZATION, BASIC);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {bytes:?}"));
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    async fn write(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send(method, path, &[("content-type", "application/json")], body.to_string()).await
    }
}

fn backend(id: &str, root: &str) -> Value {
    json!({
        "id": id,
        "name": "Users",
        "backend": { "targets": [{ "hostname": "127.0.0.1", "port": 8080, "tls": false }], "root": root },
    })
}

#[track_caller]
fn assert_refused(answer: &Answer, status: StatusCode, words: &[&str]) {
    assert_eq!(answer.status, status, "{}", answer.body);
    let text = answer.body.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} isn't in {text}");
    }
}

#[tokio::test]
async fn an_entity_lives_from_post_to_delete() {
    let api = Api::start().await;
    let created = api.write("POST", "/api/backends", &backend("users", "/v1")).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.body);
    let read = api.get("/api/backends/users").await;
    assert_eq!((read.status, &read.body), (StatusCode::OK, &created.body));
    assert_eq!(read.headers[header::ETAG], created.headers[header::ETAG]);
    assert_eq!(read.body["backend"]["root"], "/v1");
    assert_eq!(read.body["komainu"]["owner"], "store");

    let mut changed = read.body.clone();
    changed["backend"]["root"] = json!("/v2");
    changed["id"] = json!("the path says which");
    let replaced = api.write("PUT", "/api/backends/users", &changed).await;
    assert_eq!((replaced.status, &replaced.body["id"]), (StatusCode::OK, &json!("users")));
    assert_eq!(api.get("/api/backends/users").await.body["backend"]["root"], "/v2");

    let deleted = api.send("DELETE", "/api/backends/users", &[], "").await;
    assert_eq!((deleted.status, deleted.body), (StatusCode::OK, json!({ "deleted": true })));
    assert_refused(&api.get("/api/backends/users").await, StatusCode::NOT_FOUND, &["not_found"]);
    let again = api.send("DELETE", "/api/backends/users", &[], "").await;
    assert_refused(&again, StatusCode::NOT_FOUND, &["delete_error"]);
    let replaced = api.write("PUT", "/api/backends/users", &changed).await;
    assert_refused(&replaced, StatusCode::NOT_FOUND, &["not_found"]);
}

#[tokio::test]
async fn routes_too() {
    let api = Api::start().await;
    let route = json!({
        "id": "users",
        "frontend": { "domains": ["api.example.com/users"] },
        "backend_ref": "not-there-yet",
    });
    let created = api.write("POST", "/api/routes", &route).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.body);
    let read = api.get("/api/routes/users").await;
    assert_eq!(read.body, created.body);
    let unchanged = api.write("PUT", "/api/routes/users", &read.body).await;
    assert_eq!(unchanged.status, StatusCode::OK, "what was read can be written: {}", unchanged.body);
    assert_eq!(unchanged.headers[header::ETAG], read.headers[header::ETAG], "nothing changed");
}

#[tokio::test]
async fn an_id_is_made_up_and_not_taken_twice() {
    let api = Api::start().await;
    let mut nameless = backend("x", "/");
    nameless.as_object_mut().unwrap().remove("id");
    let created = api.write("POST", "/api/backends", &nameless).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.body);
    let id = created.body["id"].as_str().unwrap();
    assert!(id.starts_with("backend_"), "{id}");
    assert_eq!(api.get(&format!("/api/backends/{id}")).await.status, StatusCode::OK);
    let again = api.write("POST", "/api/backends", &created.body).await;
    assert_refused(&again, StatusCode::BAD_REQUEST, &["already exists", "PUT"]);
}

#[tokio::test]
async fn lists_show_every_source_in_pages() {
    let api = Api::start().await;
    for id in ["a", "b"] {
        api.write("POST", "/api/backends", &backend(id, "/")).await;
    }
    let all = api.get("/api/backends").await;
    let entities = all.body.as_array().unwrap();
    let shown: Vec<_> = entities.iter().map(|entity| (&entity["id"], &entity["komainu"]["owner"])).collect();
    let owners = [("a", "store"), ("b", "store"), ("cluster", "kubernetes"), ("file", "files")]
        .map(|(id, owner)| (json!(id), json!(owner)));
    assert_eq!(shown, owners.iter().map(|(id, owner)| (id, owner)).collect::<Vec<_>>());
    let numbers = |answer: &Answer| {
        ["x-count", "x-offset", "x-page", "x-page-size"]
            .map(|name| answer.headers[name].to_str().unwrap().to_owned())
    };
    assert_eq!(numbers(&all), ["4", "0", "1", "2147483647"]);
    let second = api.get("/api/backends?page=2&pageSize=3").await;
    assert_eq!(numbers(&second), ["4", "3", "2", "3"]);
    assert_eq!(second.body.as_array().unwrap().len(), 1);
    assert_refused(&api.get("/api/backends?page=0").await, StatusCode::BAD_REQUEST, &["page"]);
    assert_refused(
        &api.get("/api/backends?sorted=name:true").await,
        StatusCode::BAD_REQUEST,
        &["sorted", "not supported yet"],
    );
    let other = api.send("GET", "/api/backends", &[("otoroshi-tenant", "team-a")], "").await;
    assert_eq!(other.body, json!([]));
}

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
async fn if_match_guards_against_a_lost_update() {
    let api = Api::start().await;
    let first = api.write("POST", "/api/backends", &backend("users", "/1")).await;
    let etag = first.headers[header::ETAG].to_str().unwrap();
    api.write("PUT", "/api/backends/users", &backend("users", "/2")).await;
    let body = backend("users", "/3").to_string();
    let late = api.send("PUT", "/api/backends/users", &[("if-match", etag)], body.clone()).await;
    assert_refused(&late, StatusCode::PRECONDITION_FAILED, &["changed meanwhile"]);
    let late = api.send("DELETE", "/api/backends/users", &[("if-match", etag)], "").await;
    assert_refused(&late, StatusCode::PRECONDITION_FAILED, &["changed meanwhile"]);
    let current = api.get("/api/backends/users").await;
    assert_eq!(current.body["backend"]["root"], "/2");
    let etag = current.headers[header::ETAG].to_str().unwrap();
    let matching = api.send("PUT", "/api/backends/users", &[("if-match", etag)], body.clone()).await;
    assert_eq!(matching.status, StatusCode::OK);
    let odd = api.send("PUT", "/api/backends/users", &[("if-match", "W/x")], body).await;
    assert_refused(&odd, StatusCode::BAD_REQUEST, &["If-Match"]);
}

#[tokio::test]
async fn tenants_are_apart() {
    let api = Api::start().await;
    let tenant = [("otoroshi-tenant", "team-a")];
    let body = backend("users", "/a").to_string();
    let created = api.send("POST", "/api/backends", &tenant, body).await;
    assert_eq!((created.status, &created.body["_loc"]["tenant"]), (StatusCode::CREATED, &json!("team-a")));
    assert_eq!(api.get("/api/backends/users").await.status, StatusCode::NOT_FOUND);
    let read = api.send("GET", "/api/backends/users", &tenant, "").await;
    assert_eq!(read.body, created.body);
    let elsewhere = api.write("PUT", "/api/backends/users", &created.body).await;
    assert_refused(&elsewhere, StatusCode::BAD_REQUEST, &["team-a", "Otoroshi-Tenant"]);
    let odd = api.send("GET", "/api/backends/users", &[("otoroshi-tenant", "a/b")], "").await;
    assert_refused(&odd, StatusCode::BAD_REQUEST, &["Otoroshi-Tenant"]);
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
        store: Arc::new(LostStore(api.store.epoch())),
        planned: watch::channel(None).1,
        verdicts: watch::channel(Arc::default()).1,
        credentials: Credentials::new("admin", "secret"),
    };
    let not_ready =
        Api { router: router(admin.clone()), store: api.store.clone(), folder: tempfile::tempdir().unwrap() };
    for answer in [
        not_ready.get("/api/backends").await,
        not_ready.write("POST", "/api/backends", &backend("a", "/")).await,
    ] {
        assert_refused(&answer, StatusCode::SERVICE_UNAVAILABLE, &["not_ready", "sources"]);
    }
    let (_views, source) = watch::channel(Some(foreign(Owner::Kubernetes, "cluster", Origin::Kubernetes)));
    admin.planned = Leader::start(Vec::new(), vec![source], Metrics::default()).planned;
    admin.planned.wait_for(Option::is_some).await.unwrap();
    let down = Api { router: router(admin), store: api.store.clone(), folder: tempfile::tempdir().unwrap() };
    let refused = down.write("POST", "/api/backends", &backend("a", "/")).await;
    assert_refused(&refused, StatusCode::SERVICE_UNAVAILABLE, &["store_unavailable", "no space left"]);
    assert_eq!(down.get("/api/backends/cluster").await.status, StatusCode::OK);
}

/// A store that can't be reached.
struct LostStore(Epoch);

fn lost<T>() -> Result<T, operator_store::StoreError> {
    Err(operator_store::StoreError::Unavailable { reason: "no space left".to_owned() })
}

#[async_trait::async_trait]
impl StateStore for LostStore {
    fn epoch(&self) -> Epoch {
        self.0.clone()
    }
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
    async fn next_file_revision(&self) -> Result<u64, operator_store::StoreError> {
        lost()
    }
    fn subscribe(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}

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

#[tokio::test]
async fn an_acknowledged_write_is_in_the_file() {
    let api = Api::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, api.router.clone()).into_future());
    let body = backend("users", "/").to_string();
    let request = format!(
        "POST /api/backends HTTP/1.1\r\nHost: admin\r\nAuthorization: {BASIC}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut connection, request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut connection, &mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    server.abort();
    // A copy taken at this moment is what a crash would leave.
    let copy = api.folder.path().join("copy");
    std::fs::copy(api.folder.path().join("store"), &copy).unwrap();
    let copy = EmbeddedStore::open(copy, EmbeddedSettings::default()).unwrap();
    let key = Key::new(Kind::Backend, "default", "users");
    assert!(copy.get(Owner::Store, &key).await.unwrap().is_some());
}
