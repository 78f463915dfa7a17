//! YAML manifests -> World.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_snapshot::{Epoch, Key, Kind, SourceAsOf};
use operator_core::{
    CertificateSpec, ClientCertificates, ClientTrust, ListenerProtocol, ListenerSettings, ListenerTls,
    Observed, ObservedMap, Origin, Owner, Place, PrivateKey, Problem, SecretSpec, SourceView, Spec, World,
    slice_key,
};
use serde_json::Value;

/// A document with `listeners` gives the settings, one with `separateStores` how many leaders have a store each, every other
/// one an object. `metadata.annotations.source` says who owns it; Kubernetes otherwise.
pub(crate) fn world(yaml: &str) -> World {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap();
    let mut listeners = vec![listener(&serde_json::json!({"name": "http", "port": 8080}))];
    let mut separate_stores = 0;
    let mut views: BTreeMap<Owner, SourceView> = BTreeMap::new();
    for document in documents {
        if let Some(settings) = document["listeners"].as_array() {
            listeners = settings.iter().map(listener).collect();
            continue;
        }
        if let Some(stores) = document["separateStores"].as_u64() {
            separate_stores = stores.try_into().unwrap();
            continue;
        }
        let observed = observed(&document);
        let owner = observed.origin.owner();
        let view = views.entry(owner).or_insert_with(|| SourceView {
            owner,
            as_of: SourceAsOf {
                epoch: Epoch { id: "one".into(), created_at: 1 },
                revisions: [(Kind::Route, 1)].into(),
            },
            objects: ObservedMap::new(),
        });
        view.objects.insert(observed.key.clone(), Arc::new(observed));
    }
    let mut world = World::join(Arc::new(listeners), views.values());
    world.separate_stores = separate_stores;
    world
}

fn listener(settings: &Value) -> ListenerSettings {
    ListenerSettings {
        name: text(&settings["name"]),
        address: text(&settings["address"]),
        port: settings["port"].as_u64().unwrap().try_into().unwrap(),
        advertised_port: settings["advertisedPort"].as_u64().map(|port| port.try_into().unwrap()),
        protocol: match settings["tls"].as_object() {
            None => ListenerProtocol::Http,
            Some(_) => ListenerProtocol::Https(Arc::new(listener_tls(&settings["tls"]))),
        },
        proxy_protocol: settings["proxyProtocol"] == true,
        http2: settings["http2"] != false,
    }
}

/// With `clientAuthorities`, certificates of clients are optional and forwarded.
fn listener_tls(tls: &Value) -> ListenerTls {
    let names = |names: &Value| serde_json::from_value(names.clone()).unwrap_or_default();
    let authorities: Vec<String> = names(&tls["clientAuthorities"]);
    let clients = match authorities.is_empty() {
        true => ClientCertificates::Ignored,
        false => ClientCertificates::Optional(ClientTrust { authorities, forwarded: true }),
    };
    ListenerTls { certificates: names(&tls["certificates"]), clients }
}

/// `chain` and `key` of any text: nobody looks into them here.
fn certificate(spec: &Value) -> CertificateSpec {
    let chain: Vec<String> = serde_json::from_value(spec["chain"].clone()).unwrap();
    let warning = |text: &str| Problem { field: String::new(), message: text.to_owned(), place: None };
    CertificateSpec {
        chain: chain.into_iter().map(Into::into).collect(),
        key: spec["key"].as_str().map(|key| PrivateKey(key.to_owned().into())),
        authorities: texts(&spec["authorities"]).into_iter().map(Into::into).collect(),
        warnings: spec["warning"].as_str().map(warning).into_iter().collect(),
    }
}

fn observed(document: &Value) -> Observed {
    let metadata = &document["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or("default");
    let kind = match text(&document["kind"]).as_str() {
        "EndpointSlice" => Kind::Slice,
        "ReferenceGrant" => Kind::Grant,
        kind => kind.to_lowercase().parse().unwrap(),
    };
    let spec = match kind {
        Kind::Backend => serde_json::from_value(document["spec"].clone()).map(Arc::new).map(Spec::Backend),
        Kind::Certificate if document["spec"].is_object() => {
            Ok(Spec::Certificate(Arc::new(certificate(&document["spec"]))))
        }
        Kind::Secret => {
            let entries = serde_json::from_value(document["entries"].clone()).unwrap();
            Ok(Spec::Secret(Arc::new(SecretSpec { entries })))
        }
        Kind::Service => serde_json::from_value(document["spec"].clone()).map(Arc::new).map(Spec::Service),
        Kind::Slice => serde_json::from_value(document.clone()).map(Arc::new).map(Spec::Slice),
        Kind::Grant => serde_json::from_value(document["spec"].clone()).map(Arc::new).map(Spec::Grant),
        _ => serde_json::from_value(document["spec"].clone()).map(Arc::new).map(Spec::Route),
    };
    let place = Place { file: "golden.yaml".into(), line: 7, column: 3 };
    let problem = |error: serde_json::Error| Problem {
        field: "spec".into(),
        message: error.to_string(),
        place: Some(place.clone()),
    };
    let origin = match metadata["annotations"]["source"].as_str() {
        Some("store") => Origin::Store,
        Some("files") => Origin::File(place.clone()),
        _ => Origin::Kubernetes,
    };
    let name = text(&metadata["name"]);
    let key = match kind {
        Kind::Slice => slice_key(namespace, &text(&metadata["labels"]["kubernetes.io/service-name"]), &name),
        _ => Key::new(kind, namespace, name),
    };
    Observed {
        key,
        spec: spec.unwrap_or_else(|error| Spec::Invalid(vec![problem(error)])),
        labels: serde_json::from_value(metadata["labels"].clone()).unwrap_or_default(),
        generation: metadata["generation"].as_i64().unwrap_or(1),
        uid: String::new(),
        origin,
    }
}

fn texts(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
