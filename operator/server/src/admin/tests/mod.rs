use std::collections::BTreeMap;

use axum::body::Body;
use dataplane_snapshot::{Epoch, SourceAsOf};
use http::{Request as HttpRequest, StatusCode, header};
use http_body_util::BodyExt as _;
use operator_core::{Origin, Place, SourceView, Spec};
use operator_store::{EmbeddedSettings, EmbeddedStore, watch_view};
use serde_json::{Value, json};
use tower::ServiceExt as _;

mod entities;
mod refusals;
mod status;
mod usage;

use super::*;
use crate::cluster::{Cluster, ClusterSettings};
use crate::leader::{Leader, Metrics, judge, survey};

/// "admin:secret"
const BASIC: &str = "Basic YWRtaW46c2VjcmV0";

/// An admin API over a leader with a real store and one object of Kubernetes and of a file each.
struct Api {
    router: Router,
    store: EmbeddedStore,
    folder: tempfile::TempDir,
    cluster: Arc<Cluster>,
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
        uid: String::new(),
        origin,
    };
    Arc::new(SourceView { owner, as_of, objects: [(key, Arc::new(observed))].into_iter().collect() })
}

impl Api {
    async fn start() -> Self {
        Self::of_leaders(1).await
    }

    /// That of one of so many leaders.
    async fn of_leaders(leaders: u32) -> Self {
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
        let leader = Leader::start(
            Vec::new(),
            others.into_iter().chain([source]).collect::<Vec<_>>(),
            Metrics::default(),
        );
        let (workers, counted) = watch::channel(Arc::default());
        let verdicts = judge(leader.planned.clone(), counted);
        leader.planned.clone().wait_for(Option::is_some).await.unwrap();
        // For as long as the router lives.
        tokio::spawn(async move { workers.closed().await });
        let cluster = Cluster::new(ClusterSettings::new(Credentials::new("admin", "secret")));
        let usage = Arc::new(Usage::new(Arc::new(store.clone())));
        let router = router(Admin {
            store: Arc::new(store.clone()),
            leaders,
            planned: leader.planned,
            overviews: survey(verdicts, cluster.clone(), usage.used_up()),
            usage,
            credentials: Credentials::new("admin", "secret"),
        });
        Self { router, store, folder, cluster }
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
