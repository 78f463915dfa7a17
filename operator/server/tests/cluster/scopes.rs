//! Workers that have a part of the state.

use axum::body::Body;
use dataplane_snapshot::wire::State;
use dataplane_snapshot::{Key, Kind, Object, Root, Scope, Snapshot, TENANT_LABEL, wire};
use http::{Response, StatusCode};
use operator_core::MAX_SCOPES;
use operator_core::programmed::Share;
use operator_core::session::MemberStatus;
use operator_server::Credentials;
use operator_server::cluster::{Client, ClusterSettings};

use super::*;

/// A listener, and a route of each tenant with a text.
fn routes(routes: &[(&str, &str)]) -> Snapshot {
    let base = snapshot("one");
    let route = |(tenant, text): &(&str, &str)| {
        let route = wire::Route { name: (*text).to_owned(), ..Default::default() };
        let labels = BTreeMap::from([(TENANT_LABEL.to_owned(), (*tenant).to_owned())]);
        let content = wire::Content { labels, payload: Some(wire::Payload::Route(route)) };
        Object::encode(Key::new(Kind::Route, "default", *tenant), &content)
    };
    base.edit(routes.iter().map(route), &[], base.as_of().clone())
}

fn poll(id: &str, scope: &str) -> http::request::Builder {
    let mut request = request("GET", "/api/cluster/state").header("komainu-worker-scope", scope);
    request.headers_mut().unwrap().insert("komainu-worker-id", id.parse().unwrap());
    request
}

async fn keys(response: Response<Body>) -> (String, Vec<String>) {
    assert_eq!(response.status(), StatusCode::OK);
    let scope =
        response.headers().get("komainu-scope").map_or("", |scope| scope.to_str().unwrap()).to_owned();
    let etag = response.headers()["etag"].to_str().unwrap().to_owned();
    let state = State::decode_snapshot(body(response).await).unwrap();
    assert_eq!(etag, super::etag(state.root()), "its own root");
    (scope, state.objects().map(|object| object.key().to_string()).collect())
}

#[tokio::test]
async fn a_worker_gets_the_part_that_it_selects_and_says_which() {
    let leader = leader();
    leader.publish_all(routes(&[("a", "1"), ("b", "1")])).await;
    for (scope, names) in [("tenants=a", &["a"][..]), ("tenants=a|b", &["a", "b"]), ("tenants=c", &[])] {
        let (said, keys) = keys(leader.send(poll("w1", scope).body(Body::empty())).await).await;
        let routes = names.iter().map(|name| format!("route/default/{name}"));
        let expected: Vec<_> = std::iter::once("listener/settings/http".to_owned()).chain(routes).collect();
        assert_eq!((said.as_str(), keys), (scope, expected));
    }
    let (said, keys) = keys(leader.send(poll("w2", "").body(Body::empty())).await).await;
    assert_eq!((said.as_str(), keys.len()), ("", 3));
    let members = leader.members().await;
    assert_eq!((&members[0]["scope"], &members[1]["scope"]), (&"tenants=c".into(), &serde_json::Value::Null));
}

#[tokio::test]
async fn only_a_change_of_its_own_part_answers_a_held_poll() {
    let leader = leader();
    leader.publish_all(routes(&[("a", "1"), ("b", "1")])).await;
    let first = leader.send(poll("w1", "tenants=a").body(Body::empty())).await.headers()["etag"].clone();
    let waiting = poll("w1", "tenants=a").header("if-none-match", &first).header("komainu-base", &first);
    let waiting = waiting.header("prefer", "wait=25").body(Body::empty()).unwrap();
    let held = tokio::spawn(leader.cluster.router().oneshot(waiting));
    while leader.cluster.stats().held == 0 {
        tokio::task::yield_now().await;
    }
    leader.publish_all(routes(&[("a", "1"), ("b", "2")])).await;
    assert_eq!(leader.cluster.stats().held, 1, "another tenant's change is no news");
    let last = routes(&[("a", "2"), ("b", "2")]);
    leader.publish_all(last.clone()).await;
    let response = held.await.unwrap().unwrap();
    assert_eq!(response.headers()["komainu-scope"], "tenants=a");
    let state: State = prost::Message::decode(body(response).await).unwrap();
    assert_eq!(state.objects.iter().map(|object| &*object.key).collect::<Vec<_>>(), ["route/default/a"]);
    assert_eq!(wire::as_of_from_wire(state.as_of.unwrap()), *last.as_of());
}

#[tokio::test]
async fn a_worker_with_a_part_is_up_to_date_and_counted_by_it() {
    let leader = leader();
    leader.publish_all(routes(&[("a", "1"), ("b", "1")])).await;
    let answer = leader.send(poll("w1", "tenants=a").body(Body::empty())).await;
    let part = State::decode_snapshot(body(answer).await).unwrap();
    let ack = wire::Ack { root: Bytes::copy_from_slice(&part.root().0), ..Default::default() };
    let mut sent = request("POST", "/api/cluster/ack");
    sent.headers_mut().unwrap().insert("komainu-worker-scope", "tenants=a".parse().unwrap());
    let answer = leader.send(sent.body(prost::Message::encode_to_vec(&ack).into())).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(leader.members().await[0]["upToDate"], true);
    let mut changed = leader.cluster.members_changed();
    changed.mark_unchanged();
    leader.publish_all(routes(&[("a", "1"), ("b", "2")])).await;
    assert_eq!(leader.members().await[0]["upToDate"], true);
    assert!(changed.has_changed().unwrap(), "what it is counted for is judged anew");
    let [counted] = leader.cluster.counted(None).try_into().unwrap();
    assert_eq!(counted.ack.map(|ack| ack.root), Some(part.root()));
    let Share::Part(Some(share)) = counted.share else { panic!("{:?}", counted.share) };
    assert_eq!(share.state().root(), part.root());
    leader.publish_all(routes(&[("a", "2"), ("b", "2")])).await;
    assert_eq!(leader.members().await[0]["upToDate"], false);
}

#[tokio::test]
async fn an_identity_limits_what_is_asked_for() {
    let mut settings = ClusterSettings::new(Credentials::new("id", "secret"));
    let scope: Scope = "tenants=a|b".parse().unwrap();
    settings.clients = vec![Client { credentials: Credentials::new("edge", "hush"), scope }];
    let leader = leader_with(settings);
    leader.publish_all(routes(&[("a", "1"), ("b", "1"), ("c", "1")])).await;
    let basic = |pair: &str| {
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        http::HeaderValue::try_from(format!("Basic {pair}")).unwrap()
    };
    let ask = |path: &str, pair: &str, scope: &str| {
        let mut request = request("GET", path).header("komainu-worker-scope", scope);
        request.headers_mut().unwrap().insert("authorization", basic(pair));
        leader.send(request.body(Body::empty()))
    };
    for (asked, got, routes) in [
        ("", "tenants=a|b", 2),
        ("tenants=b|c", "tenants=b", 1),
        ("tenants=c", "tenants=", 0),
        ("namespaces=default", "namespaces=default,tenants=a|b", 2),
    ] {
        let (said, keys) = keys(ask("/api/cluster/state", "edge:hush", asked).await).await;
        assert_eq!((said.as_str(), keys.len()), (got, 1 + routes), "{asked}");
    }
    for path in ["/api/cluster/members", "/api/cluster/health"] {
        assert_eq!(ask(path, "edge:hush", "").await.status(), StatusCode::FORBIDDEN, "{path}");
    }
    for pair in ["edge:secret", "id:hush", "edge:"] {
        assert_eq!(ask("/api/cluster/state", pair, "").await.status(), StatusCode::UNAUTHORIZED, "{pair}");
    }
    assert_eq!(keys(ask("/api/cluster/state", "id:secret", "").await).await.1.len(), 4);
}

#[tokio::test]
async fn a_limited_client_ends_and_speaks_for_its_own_workers_only() {
    let mut settings = ClusterSettings::new(Credentials::new("id", "secret"));
    let client = |name: &str| Client {
        credentials: Credentials::new(name, "hush"),
        scope: format!("tenants={name}").parse().unwrap(),
    };
    settings.clients = vec![client("a"), client("b")];
    let leader = leader_with(settings);
    leader.publish_all(routes(&[("a", "1"), ("b", "1")])).await;
    let ask = |method: &str, path: &str, client: &str, id: &str| {
        let mut request = request(method, path);
        let headers = request.headers_mut().unwrap();
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{client}:hush"));
        headers.insert("authorization", format!("Basic {pair}").parse().unwrap());
        headers.insert("komainu-worker-id", id.parse().unwrap());
        leader.send(request.body(Body::empty()))
    };
    let state = "/api/cluster/state";
    assert_eq!(leader.send(poll("w-all", "").body(Body::empty())).await.status(), StatusCode::OK);
    for (client, id) in [("a", "w-a"), ("b", "w-b")] {
        assert_eq!(ask("GET", state, client, id).await.status(), StatusCode::OK);
    }
    let before = leader.cluster.members();
    for id in ["w-all", "w-b"] {
        assert_eq!(ask("GET", state, "a", id).await.status(), StatusCode::SERVICE_UNAVAILABLE, "{id}");
        for own in ["w-a", id] {
            let answer = ask("DELETE", &format!("/api/cluster/members/{id}"), "a", own).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{own} {id}");
        }
    }
    let scopes = |members: &[MemberStatus]| -> Vec<_> {
        members.iter().map(|member| member.identity.clone()).collect()
    };
    assert_eq!(scopes(&leader.cluster.members()), scopes(&before));
    let leave = |client, id| ask("DELETE", &format!("/api/cluster/members/{id}"), client, id);
    assert_eq!(leave("a", "w-a").await.status(), StatusCode::NO_CONTENT);
    assert_eq!(leave("a", "w-a").await.status(), StatusCode::NOT_FOUND);
    let forget = request("DELETE", "/api/cluster/members/w-b").body(Body::empty());
    assert_eq!(leader.send(forget).await.status(), StatusCode::NO_CONTENT, "by who may have everything");
}

#[tokio::test]
async fn what_is_no_scope_is_refused_with_a_sentence() {
    let leader = leader();
    leader.publish("one").await;
    let answer = leader.send(poll("w1", "tenant=a").body(Body::empty())).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let sentence = body(answer).await;
    assert!(sentence.starts_with(b"header komainu-worker-scope: \"tenant=a\" is no term"), "{sentence:?}");
}

#[tokio::test]
async fn too_many_scopes_are_refused_until_members_leave() {
    let leader = leader();
    leader.publish("one").await;
    let ask = |number: usize| {
        leader.send(poll(&format!("w{number}"), &format!("tenants=t{number}")).body(Body::empty()))
    };
    for number in 0..MAX_SCOPES {
        assert_eq!(ask(number).await.status(), StatusCode::OK, "{number}");
    }
    let refused = ask(MAX_SCOPES).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(body(refused).await.starts_with(b"workers with too many different selectors"));
    let whole = leader.send(poll("all", "").body(Body::empty())).await;
    assert_eq!(whole.status(), StatusCode::OK, "who takes everything is served");
    leader.send(request("DELETE", "/api/cluster/members/w3").body(Body::empty())).await;
    assert_eq!(ask(MAX_SCOPES).await.status(), StatusCode::OK);
}

/// A leader that starts anew knows no scopes, and a worker may tell what it has before it asks.
#[tokio::test]
async fn who_speaks_before_the_first_poll_counts_for_its_own_part() {
    let leader = leader();
    let ack = wire::Ack { root: Bytes::copy_from_slice(&Root([7; 32]).0), ..Default::default() };
    let tell = |path: &str, id: &str, bytes: Vec<u8>| {
        let mut sent = request("POST", path);
        sent.headers_mut().unwrap().insert("komainu-worker-scope", "tenants=b".parse().unwrap());
        sent.headers_mut().unwrap().insert("komainu-worker-id", id.parse().unwrap());
        leader.send(sent.body(bytes.into()))
    };
    let report = wire::Report { sequence: 1, ..Default::default() };
    let (ack, report) = (prost::Message::encode_to_vec(&ack), prost::Message::encode_to_vec(&report));
    let early = tell("/api/cluster/ack", "w1", ack.clone()).await;
    assert_eq!(early.status(), StatusCode::SERVICE_UNAVAILABLE, "no part is known without a state");
    assert!(leader.cluster.members().is_empty());
    leader.publish_all(routes(&[("a", "1"), ("b", "1")])).await;
    assert_eq!(tell("/api/cluster/ack", "w1", ack).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(tell("/api/cluster/report", "w2", report).await.status(), StatusCode::NO_CONTENT);
    for counted in leader.cluster.counted(None) {
        let Share::Part(Some(part)) = counted.share else { panic!("{:?}", counted.share) };
        assert_eq!(part.state().count_of(Kind::Route), 1, "{}", counted.name);
    }
}

#[tokio::test]
async fn a_held_poll_whose_part_is_let_go_of_is_told_to_come_back() {
    let leader = leader();
    leader.publish_all(routes(&[("a", "1")])).await;
    let first = leader.send(poll("w1", "tenants=a").body(Body::empty())).await.headers()["etag"].clone();
    let waiting = poll("w1", "tenants=a").header("if-none-match", &first).header("prefer", "wait=25");
    let held = tokio::spawn(leader.cluster.router().oneshot(waiting.body(Body::empty()).unwrap()));
    while leader.cluster.stats().held == 0 {
        tokio::task::yield_now().await;
    }
    leader.send(request("DELETE", "/api/cluster/members/w1").body(Body::empty())).await;
    leader.publish_all(routes(&[("a", "2")])).await;
    assert_eq!(held.await.unwrap().unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
}
