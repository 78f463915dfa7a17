//! What the API server sends becomes what the World takes, one object at a time. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::{BackendSpec, RouteSpec};
use dataplane_snapshot::{Key, Kind};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::DynamicObject;
use operator_core::healthy::Tally;
use operator_core::{GrantSpec, Observed, Origin, Problem, ServiceSpec, SliceSpec, Spec, slice_key};
use operator_store::StoredObject;
use serde::Deserialize as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The label that says which Service a slice is of.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// An object as it was last seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Empty if it comes from the mirror.
    pub(crate) uid: String,
    /// The spec as JSON text, as it goes into the mirror; also when it doesn't fit its type. Of what isn't ours as much as
    /// planning looks at.
    pub(crate) spec: Arc<str>,
    pub(crate) observed: Arc<Observed>,
}

/// What the API server shows of an object's status.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Present {
    pub(crate) uid: String,
    /// Of the object. A lower one than what is known already is old news.
    pub(crate) revision: u64,
    /// `metadata.generation`.
    pub(crate) generation: i64,
    pub(crate) observed_generation: Option<i64>,
    pub(crate) tally: Tally,
    pub(crate) conditions: Vec<Condition>,
}

/// The key of an object; `None` without a namespace or a name, which the API server doesn't send, and for a slice of no Service.
pub(crate) fn key_of(kind: Kind, object: &DynamicObject) -> Option<Key> {
    let name = object.metadata.name.as_deref()?;
    let namespace = object.metadata.namespace.as_deref()?;
    match kind {
        Kind::Slice => {
            let service =
                object.metadata.labels.as_ref()?.get(SERVICE_NAME).filter(|name| !name.is_empty())?;
            Some(slice_key(namespace, service, name))
        }
        _ => Some(Key::new(kind, namespace, name)),
    }
}

/// Forgets what is never looked at, so that a large list takes less memory.
pub(crate) fn lighten(kind: Kind, object: &mut DynamicObject) {
    object.metadata.managed_fields = None;
    object.metadata.annotations = None;
    match kind {
        Kind::Service | Kind::Grant => {
            let spec = object.data.get_mut("spec").map(Value::take).unwrap_or_default();
            object.data = json!({ "spec": light(kind, &spec) });
        }
        Kind::Slice => object.data = light(kind, &object.data),
        Kind::Secret => {
            let mut part = |name| object.data.get_mut(name).map(Value::take).unwrap_or_default();
            object.data = json!({ "data": part("data"), "type": part("type") });
        }
        _ => {}
    }
}

/// As much of a spec as planning looks at; all of it if it doesn't fit its type.
fn light(kind: Kind, spec: &Value) -> Value {
    fn of<T: DeserializeOwned + Serialize>(spec: &Value) -> Option<Value> {
        serde_json::to_value(T::deserialize(spec).ok()?).ok()
    }
    let light = match kind {
        Kind::Service => of::<ServiceSpec>(spec),
        Kind::Slice => of::<SliceSpec>(spec),
        _ => of::<GrantSpec>(spec),
    };
    light.unwrap_or_else(|| spec.clone())
}

/// Reads an object. The `Arc` of `known` is kept if uid, generation, labels and spec are the same: a change of the status
/// alone isn't one. Which one it is the mirror doesn't tell.
pub(crate) fn read(key: &Key, object: &DynamicObject, known: Option<&Seen>) -> Seen {
    let uid = object.metadata.uid.clone().unwrap_or_default();
    let empty = BTreeMap::new();
    let is_ours = matches!(key.kind(), Kind::Backend | Kind::Route);
    // What isn't ours is looked at for its spec alone: nothing else of it is a change.
    let (generation, labels) = match is_ours {
        true => (
            object.metadata.generation.unwrap_or_default(),
            object.metadata.labels.as_ref().unwrap_or(&empty),
        ),
        false => (0, &empty),
    };
    let spec = match key.kind() {
        Kind::Slice => &object.data,
        _ => object.data.get("spec").unwrap_or(&Value::Null),
    };
    let spec: Arc<str> = spec.to_string().into();
    if let Some(known) = known {
        // What comes from the mirror has no uid, and may have been deleted and created anew.
        let same_object = known.uid == uid || known.uid.is_empty();
        let observed = &known.observed;
        if same_object
            && observed.generation == generation
            && observed.labels == *labels
            && known.spec == spec
        {
            let observed = match observed.uid.is_empty() {
                // From now on it is known which one it is.
                true if is_ours => Arc::new(Observed { uid: uid.clone(), ..Observed::clone(observed) }),
                _ => observed.clone(),
            };
            return Seen { uid, observed, spec: known.spec.clone() };
        }
    }
    let observed = Observed {
        key: key.clone(),
        spec: typed(key.kind(), &spec),
        labels: labels.clone(),
        generation,
        uid: uid.clone(),
        origin: Origin::Kubernetes,
    };
    Seen { uid, spec, observed: Arc::new(observed) }
}

/// Reads what the mirror has.
pub(crate) fn mirrored(object: StoredObject) -> (Key, Seen) {
    let observed = Observed {
        key: object.key.clone(),
        spec: typed(object.key.kind(), &object.spec),
        labels: object.labels,
        generation: object.generation,
        uid: String::new(),
        origin: Origin::Kubernetes,
    };
    (object.key, Seen { uid: String::new(), spec: object.spec, observed: Arc::new(observed) })
}

/// What is shown of the status. A condition that isn't one is as good as absent: it is overwritten.
pub(crate) fn present(object: &DynamicObject) -> Present {
    let status = object.data.get("status");
    let conditions = status.and_then(|status| status.get("conditions")).and_then(Value::as_array);
    let conditions = conditions.into_iter().flatten();
    Present {
        uid: object.metadata.uid.clone().unwrap_or_default(),
        revision: revision(object.metadata.resource_version.as_deref()).unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
        observed_generation: status
            .and_then(|status| status.get("observedGeneration"))
            .and_then(Value::as_i64),
        tally: status.and_then(|status| Tally::deserialize(status).ok()).unwrap_or_default(),
        conditions: conditions.filter_map(|one| serde_json::from_value(one.clone()).ok()).collect(),
    }
}

/// A resource version as a number. Kubernetes calls them opaque, but they have always been etcd's revision, and from 1.35
/// on the API conventions promise that they are integers which grow within a resource type.
pub(crate) fn revision(text: Option<&str>) -> Option<u64> {
    text?.parse().ok()
}

fn typed(kind: Kind, spec: &str) -> Spec {
    let read = match kind {
        Kind::Backend => parse::<BackendSpec>(spec).map(Spec::Backend),
        Kind::Service => parse::<ServiceSpec>(spec).map(Spec::Service),
        Kind::Slice => parse::<SliceSpec>(spec).map(Spec::Slice),
        Kind::Grant => parse::<GrantSpec>(spec).map(Spec::Grant),
        _ => parse::<RouteSpec>(spec).map(Spec::Route),
    };
    read.unwrap_or_else(|problem| Spec::Invalid(vec![problem]))
}

fn parse<T: DeserializeOwned>(spec: &str) -> Result<Arc<T>, Problem> {
    if spec == "null" {
        let message = "missing: write what the object is to do".to_owned();
        return Err(Problem { field: "spec".to_owned(), message, place: None });
    }
    let mut json = serde_json::Deserializer::from_str(spec);
    serde_path_to_error::deserialize(&mut json).map(Arc::new).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "spec".to_owned() } else { format!("spec.{path}") };
        let message = error.into_inner().to_string();
        // Line and column of the stored text say nothing to people.
        let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
        Problem { field, message, place: None }
    })
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
