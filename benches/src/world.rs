//! Many routes and backends as a source has them, the same at each call: of ten routes one has a regex in its path, one a
//! wildcard host, two a condition on a header.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::{
    BackendReference, BackendSpec, Condition, ConditionType, PathMatch, PathType, RouteBackend, RouteMatch,
    RouteSpec, Target,
};
use dataplane_snapshot::{Epoch, Key, Kind, SourceAsOf};
use operator_core::{ListenerSettings, Observed, Origin, Owner, SourceView, Spec};

/// How many routes share a host name.
const ROUTES_OF_HOST: usize = 20;

/// The one listener.
pub fn listeners() -> Arc<Vec<ListenerSettings>> {
    Arc::new(vec![ListenerSettings::http("http", 8080)])
}

/// All that the source has.
pub fn view(routes: usize, backends: usize) -> SourceView {
    let objects = (0..backends)
        .map(|number| backend(number, 8_080))
        .chain((0..routes).map(|number| route(number, backends, "")));
    let objects = objects.map(|object| (object.key.clone(), Arc::new(object))).collect();
    let epoch = Epoch { id: "one".into(), created_at: 1 };
    SourceView { owner: Owner::Store, as_of: SourceAsOf { epoch, revisions: BTreeMap::new() }, objects }
}

/// Puts an object, as a new write of the source.
pub fn put(view: &mut SourceView, object: Observed) {
    *view.as_of.revisions.entry(object.key.kind()).or_default() += 1;
    view.objects.insert(object.key.clone(), Arc::new(object));
}

/// Removes an object.
pub fn remove(view: &mut SourceView, key: &Key) {
    *view.as_of.revisions.entry(key.kind()).or_default() += 1;
    view.objects.remove(key);
}

/// With two targets.
pub fn backend(number: usize, port: u16) -> Observed {
    let target = |side: &str| Target {
        hostname: Some(format!("{side}-{number}.internal")),
        port: Some(port),
        ..Target::default()
    };
    let spec = BackendSpec { targets: vec![target("a"), target("b")], ..BackendSpec::default() };
    observed(Kind::Backend, format!("backend-{number:05}"), Spec::Backend(Arc::new(spec)))
}

/// Its path ends with `suffix`.
pub fn route(number: usize, backends: usize, suffix: &str) -> Observed {
    let zone = number / ROUTES_OF_HOST;
    let host = match number % 10 {
        1 => format!("*.zone-{zone}.example.com"),
        _ => format!("host-{zone}.example.com"),
    };
    let path = match number % 10 {
        0 => format!("/service-{number}/$id<[0-9]+>/items{suffix}"),
        _ => format!("/service-{number}/items{suffix}"),
    };
    let tenant = Condition {
        name: "X-Tenant".into(),
        type_: ConditionType::Exact,
        value: Some(format!("tenant-{zone}")),
    };
    let one = RouteMatch {
        hostnames: vec![host],
        paths: vec![PathMatch { type_: PathType::Prefix, value: path }],
        headers: if matches!(number % 10, 2 | 3) { vec![tenant] } else { Vec::new() },
        ..RouteMatch::default()
    };
    let name = format!("backend-{:05}", number % backends.max(1));
    let spec = RouteSpec {
        matches: vec![one],
        backends: vec![RouteBackend {
            reference: Some(BackendReference { name, namespace: None }),
            inline: None,
            weight: 1,
        }],
        ..RouteSpec::default()
    };
    observed(Kind::Route, format!("route-{number:05}"), Spec::Route(Arc::new(spec)))
}

fn observed(kind: Kind, name: String, spec: Spec) -> Observed {
    let key = Key::new(kind, "default", name);
    Observed { key, spec, labels: BTreeMap::new(), generation: 1, uid: String::new(), origin: Origin::Store }
}
