//! What is sent to a worker that has a state already, and how it is compressed.

use axum::body::Body;
use bytes::Bytes;
use dataplane_snapshot::wire::State;
use dataplane_snapshot::{Key, Kind, Object, Snapshot, manifest, wire};
use http::{Response, StatusCode};

use super::{Leader, body, etag, leader, request, snapshot, with_secret};

/// A listener, and routes with these names and texts.
fn routes(routes: &[(&str, &str)]) -> Snapshot {
    let base = snapshot("one");
    let route = |(name, text): &(&str, &str)| {
        let route = wire::Route { name: (*text).to_owned(), ..Default::default() };
        Object::encode(Key::new(Kind::Route, "default", *name), &wire::Payload::Route(route).into())
    };
    base.edit(routes.iter().map(route), &[], base.as_of().clone())
}

async fn ask(leader: &Leader, base: &Snapshot) -> Response<Body> {
    let poll = request("GET", "/api/cluster/state").header("komainu-base", etag(base.root()));
    leader.send(poll.body(Body::empty())).await
}

async fn post(leader: &Leader, base: &Snapshot) -> Response<Body> {
    let poll = request("POST", "/api/cluster/state").header("komainu-base", etag(base.root()));
    leader.send(poll.body(Body::from(manifest::manifest(base)))).await
}

#[tokio::test]
async fn a_worker_that_has_an_older_state_gets_what_changed_since() {
    let leader = leader();
    let states =
        [&[("a", "1"), ("b", "1")][..], &[("a", "2"), ("b", "1")], &[("a", "2"), ("c", "1")]].map(routes);
    for state in &states {
        leader.publish_all(state.clone()).await;
    }
    let [first, second, last] = &states;
    for (base, count) in [(first, 2), (second, 1), (last, 0)] {
        let response = ask(&leader, base).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["etag"], etag(last.root()));
        let bytes = body(response).await;
        let state: State = prost::Message::decode(bytes.clone()).unwrap();
        assert_eq!(state.objects.len(), count);
        let reached = State::decode_onto(bytes, Some(base)).unwrap();
        assert_eq!((reached.root(), reached.as_of()), (last.root(), last.as_of()));
    }
    let stats = leader.cluster.stats();
    assert_eq!((stats.states, stats.changes), (0, 3));
}

#[tokio::test]
async fn a_worker_whose_state_is_not_known_says_what_it_has() {
    let leader = leader();
    let (own, current) =
        (routes(&[("a", "1"), ("b", "1"), ("c", "1")]), routes(&[("a", "1"), ("b", "2"), ("d", "1")]));
    leader.publish_all(current.clone()).await;
    assert_eq!(ask(&leader, &own).await.status(), StatusCode::CONFLICT);
    let bytes = body(post(&leader, &own).await).await;
    let state: State = prost::Message::decode(bytes.clone()).unwrap();
    let mut keys: Vec<_> = state.objects.iter().map(|object| object.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["route/default/b", "route/default/d"]);
    assert_eq!(State::decode_onto(bytes, Some(&own)).unwrap().root(), current.root());
    let stats = leader.cluster.stats();
    assert_eq!((stats.states, stats.changes, stats.manifests), (0, 0, 1));

    let without_base = request("POST", "/api/cluster/state").body(Body::empty());
    assert_eq!(leader.send(without_base).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_change_has_no_secrets_for_who_may_not_have_them() {
    let leader = leader();
    let base = snapshot("one");
    leader.publish_all(with_secret("the old key")).await;
    // The form without secrets is made by the first who asks.
    ask(&leader, &base).await;
    leader.publish_all(with_secret("the new key")).await;
    let response = ask(&leader, &base).await;
    assert_eq!(response.headers()["etag"], etag(base.root()));
    let bytes = body(response).await;
    assert!(!bytes.windows(3).any(|window| window == b"key" || window == b"sit"), "{bytes:?}");
    assert_eq!(State::decode_onto(bytes, Some(&base)).unwrap().root(), base.root());
    let bytes = body(post(&leader, &base).await).await;
    assert!(!bytes.windows(3).any(|window| window == b"key"));
}

#[tokio::test]
async fn states_are_compressed_for_who_takes_it() {
    let leader = leader();
    let text = "the same again ".repeat(1000);
    let large = routes(&[("a", &text)]);
    leader.publish_all(snapshot("one")).await;
    leader.publish_all(large.clone()).await;
    let get = |accept: &str, base: Option<&Snapshot>| {
        let poll = request("GET", "/api/cluster/state").header("accept-encoding", accept);
        let poll = base.iter().fold(poll, |poll, base| poll.header("komainu-base", etag(base.root())));
        leader.send(poll.body(Body::empty()))
    };
    for base in [None, Some(&snapshot("one"))] {
        for coding in ["zstd", "gzip"] {
            let response = get(coding, base).await;
            assert_eq!(response.headers()["content-encoding"], coding);
            let bytes = body(response).await;
            assert!(bytes.len() < 1000, "{}", bytes.len());
            let bytes: Bytes = match coding {
                "zstd" => zstd::decode_all(&bytes[..]).unwrap().into(),
                _ => {
                    let mut read = Vec::new();
                    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut read)
                        .unwrap();
                    read.into()
                }
            };
            assert_eq!(State::decode_onto(bytes, base).unwrap().root(), large.root());
        }
        let response = get("identity", base).await;
        assert!(!response.headers().contains_key("content-encoding"));
        assert_eq!(State::decode_onto(body(response).await, base).unwrap().root(), large.root());
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_encoded_is_made_again_after_a_while_and_the_leader_says_its_name() {
    let mut settings = super::ClusterSettings::new(super::Credentials::new("id", "secret"));
    settings.name = "leader-1".to_owned();
    let leader = super::leader_with(settings);
    let root = leader.publish("one").await;
    for _ in 0..3 {
        let response = leader.send(request("GET", "/api/cluster/state").body(Body::empty())).await;
        assert_eq!(response.headers()["komainu-leader-name"], "leader-1");
        assert_eq!(State::decode_snapshot(body(response).await).unwrap().root(), root);
        tokio::time::sleep(std::time::Duration::from_secs(9)).await;
    }
}

/// A large change takes the leader's time as a whole state does, so it is made in turn. Small ones wait for nobody.
#[tokio::test(start_paused = true)]
async fn a_large_change_stands_in_line_and_a_small_one_does_not() {
    let settings = super::ClusterSettings::new(super::Credentials::new("id", "secret"));
    let all_are_busy = super::leader_with(super::ClusterSettings { full_sends: 0, ..settings.clone() });
    let free = super::leader_with(settings);
    let many: Vec<_> = (0..300).map(|number| (format!("r{number}"), "1")).collect();
    let many: Vec<_> = many.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let long = "long ".repeat(20_000);
    let first = routes(&[("a", "1")]);
    let cases = [(vec![("a", "2")], true), (vec![("a", long.as_str())], false), (many, false)];
    for (next, is_small) in cases {
        let next = routes(&next);
        for leader in [&all_are_busy, &free] {
            leader.publish_all(first.clone()).await;
            leader.publish_all(next.clone()).await;
        }
        let expected = if is_small { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        assert_eq!(ask(&all_are_busy, &first).await.status(), expected);
        for _ in 0..2 {
            let response = ask(&free, &first).await;
            assert_eq!(response.status(), StatusCode::OK);
            let reached = State::decode_onto(body(response).await, Some(&first)).unwrap();
            assert_eq!(reached.root(), next.root());
        }
    }
    assert_eq!((free.cluster.stats().changes, free.cluster.stats().states), (6, 0));
}
