//! Between Otoroshi's JSON and what the store and the world have.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_snapshot::{Key, Kind};
use operator_core::otoroshi::{Entity, backend_from_json, backend_to_json, route_from_json, route_to_json};
use operator_core::{Memo, Observed, Origin, Spec, World, plan};
use operator_store::Draft;
use serde_json::{Map, Value, json};

use super::answer::Refused;

/// Under this name an entity has what Otoroshi has no place for.
const EXTENSION: &str = "komainu";
const OWNER: &str = "owner";
const PROBLEMS: &str = "problems";

/// An entity as Otoroshi spells it, and who owns it.
pub(super) fn to_json(observed: &Observed) -> Value {
    let (tenant, id) = (observed.key.namespace().to_owned(), observed.key.name().to_owned());
    let (mut json, problems) = match &observed.spec {
        Spec::Backend(spec) => (backend_to_json(&Entity { id, tenant, spec: (**spec).clone() }), None),
        Spec::Route(spec) => (route_to_json(&Entity { id, tenant, spec: (**spec).clone() }), None),
        Spec::Invalid(problems) => (json!({ "_loc": { "tenant": tenant }, "id": id }), Some(problems)),
        // None of the others is written or shown here; their owners show them.
        _ => (json!({ "_loc": { "tenant": tenant }, "id": id }), None),
    };
    if let Value::Object(fields) = &mut json {
        let extension = fields.entry(EXTENSION).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(extension) = extension {
            extension.insert(OWNER.to_owned(), json!(observed.origin.owner().as_str()));
            if let Some(problems) = problems {
                let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
                extension.insert(PROBLEMS.to_owned(), json!(problems));
            }
        }
    }
    json
}

/// What a client sent, as a JSON object without what only answers have. Nesting is limited by `serde_json` (128).
pub(super) fn parse(body: &[u8]) -> Result<Map<String, Value>, Refused> {
    let json: Value = serde_json::from_slice(body)
        .map_err(|error| Refused::bad_request(format!("the body isn't JSON: {error}")))?;
    let Value::Object(mut fields) = json else {
        return Err(Refused::bad_request("the body has to be a JSON object".to_owned()));
    };
    if let Some(Value::Object(extension)) = fields.get_mut(EXTENSION) {
        extension.remove(OWNER);
        if extension.is_empty() {
            fields.remove(EXTENSION);
        }
    }
    Ok(fields)
}

/// What to keep of an entity with the key `key`, if it is right in itself; what it refers to may be missing. With a cluster,
/// its Services can be targets.
pub(super) fn draft(
    key: &Key,
    fields: Map<String, Value>,
    has_cluster: bool,
) -> Result<(Draft, Arc<Observed>), Refused> {
    let json = Value::Object(fields);
    let read = match key.kind() {
        Kind::Backend => backend_from_json(&json).map(|entity| Read::of(entity, Spec::Backend)),
        _ => route_from_json(&json).map(|entity| Read::of(entity, Spec::Route)),
    };
    let read = read.map_err(Refused::Invalid)?;
    if read.tenant != key.namespace() {
        return Err(Refused::bad_request(format!(
            "_loc.tenant is {:?}, but the request is about tenant {:?}: name it in the header Otoroshi-Tenant",
            read.tenant,
            key.namespace()
        )));
    }
    let spec =
        read.json.map_err(|error| Refused::bad_request(format!("the entity can't be kept: {error}")))?;
    let draft = Draft { generation: None, labels: read.labels.clone(), spec: spec.into() };
    let observed = Observed {
        key: key.clone(),
        spec: read.spec,
        labels: read.labels,
        generation: 0,
        uid: String::new(),
        origin: Origin::Store,
    };
    let observed = Arc::new(observed);
    validate(&observed, has_cluster)?;
    Ok((draft, observed))
}

struct Read {
    tenant: String,
    labels: BTreeMap<String, String>,
    json: serde_json::Result<String>,
    spec: Spec,
}

impl Read {
    fn of<S: serde::Serialize>(entity: Entity<S>, wrap: fn(Arc<S>) -> Spec) -> Self {
        Self {
            labels: entity.labels(),
            json: serde_json::to_string(&entity.spec),
            tenant: entity.tenant,
            spec: wrap(Arc::new(entity.spec)),
        }
    }
}

/// By the rules of planning, in a world that has nothing else.
fn validate(observed: &Arc<Observed>, has_cluster: bool) -> Result<(), Refused> {
    let mut world = World::default();
    world.has_cluster = has_cluster;
    let objects = match observed.key.kind() {
        Kind::Backend => &mut world.backends,
        _ => &mut world.routes,
    };
    objects.insert(observed.key.clone(), observed.clone());
    let (plan, _) = plan(&world, &Memo::default());
    match plan.statuses.get(&observed.key).map(|status| &status.accepted) {
        Some(Err(refusal)) => Err(Refused::Invalid(refusal.problems.clone())),
        _ => Ok(()),
    }
}
