use super::*;

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
