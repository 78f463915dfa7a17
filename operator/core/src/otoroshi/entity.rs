use std::collections::BTreeMap;

use crds::{BackendSpec, RouteSpec};
use dataplane_snapshot::{DEFAULT_TENANT, Key, Kind, TENANT_LABEL};
use serde_json::{Map, Value, json};

use super::reader::{Reader, whole_object};
use super::{backend, route};
use crate::Problem;

/// An object as the admin API knows it: by tenant and id.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity<S> {
    pub id: String,
    /// `_loc.tenant`; `default` unless given.
    pub tenant: String,
    pub spec: S,
}

impl<S> Entity<S> {
    /// An entity of the default tenant.
    pub fn new(id: impl Into<String>, spec: S) -> Self {
        Self { id: id.into(), tenant: DEFAULT_TENANT.to_owned(), spec }
    }

    /// The tenant is the namespace, the id is the name.
    pub fn key(&self, kind: Kind) -> Key {
        Key::new(kind, self.tenant.as_str(), self.id.as_str())
    }

    pub fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(TENANT_LABEL.to_owned(), self.tenant.clone())])
    }
}

/// Reads a stored backend. The properties of the backend are in `backend`, as in Otoroshi, or beside `id` and `name`, as on
/// its Backends page. `id` is needed: who creates an entity without one makes it up before.
///
/// # Errors
/// Everything that is wrong, each with the field's name as in the JSON.
pub fn backend_from_json(json: &Value) -> Result<Entity<BackendSpec>, Vec<Problem>> {
    read(json, |reader| {
        let about = About::read(reader);
        let mut spec = if reader.has("backend") {
            reader.object("backend", backend::read).unwrap_or_default()
        } else {
            backend::read(reader)
        };
        spec.display_name = about.display_name;
        spec.description = about.description;
        spec.tags = about.tags;
        spec.metadata = about.metadata;
        Entity { id: about.id, tenant: about.tenant, spec }
    })
}

/// Reads a route.
///
/// # Errors
/// Everything that is wrong, each with the field's name as in the JSON.
pub fn route_from_json(json: &Value) -> Result<Entity<RouteSpec>, Vec<Problem>> {
    read(json, |reader| {
        let about = About::read(reader);
        let spec = RouteSpec {
            display_name: about.display_name,
            description: about.description,
            tags: about.tags,
            metadata: about.metadata,
            ..route::read(reader)
        };
        Entity { id: about.id, tenant: about.tenant, spec }
    })
}

/// Writes a stored backend, with every property, also those that have their default.
pub fn backend_to_json(entity: &Entity<BackendSpec>) -> Value {
    let Entity { id, tenant, spec } = entity;
    let mut json =
        about_to_json(id, tenant, &spec.display_name, &spec.description, &spec.tags, &spec.metadata);
    json.insert("backend".to_owned(), backend::write(spec));
    Value::Object(json)
}

/// Writes a route, with every property, also those that have their default.
pub fn route_to_json(entity: &Entity<RouteSpec>) -> Value {
    let Entity { id, tenant, spec } = entity;
    let mut json =
        about_to_json(id, tenant, &spec.display_name, &spec.description, &spec.tags, &spec.metadata);
    route::write(spec, &mut json);
    Value::Object(json)
}

fn read<T>(json: &Value, read: impl FnOnce(&mut Reader<'_>) -> T) -> Result<T, Vec<Problem>> {
    let mut problems = Vec::new();
    match whole_object("", json.clone(), &mut problems, read) {
        Some(entity) if problems.is_empty() => Ok(entity),
        _ => Err(problems),
    }
}

/// What all entities have.
struct About {
    id: String,
    tenant: String,
    display_name: Option<String>,
    description: Option<String>,
    tags: Vec<String>,
    metadata: BTreeMap<String, String>,
}

impl About {
    fn read(reader: &mut Reader<'_>) -> Self {
        let id = reader.text("id").unwrap_or_default();
        if id.is_empty() {
            reader.problem("id", "is missing: give the entity an id");
        } else if !id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) || id.len() > 253 {
            reader.problem("id", "has only letters, digits and -_. and at most 253 of them");
        }
        let tenant = reader.object("_loc", |location| {
            location.only("teams", &[json!(["default"]), json!(["all"]), json!([])]);
            location.text("tenant")
        });
        let tenant = tenant.flatten().unwrap_or_else(|| DEFAULT_TENANT.to_owned());
        Self {
            // A name that repeats the id says nothing more.
            display_name: reader.text("name").filter(|name| *name != id),
            id,
            tenant,
            description: reader.string("description").filter(|text| !text.is_empty()),
            tags: reader.strings("tags"),
            metadata: reader.string_map("metadata").into_iter().collect(),
        }
    }
}

fn about_to_json(
    id: &str,
    tenant: &str,
    display_name: &Option<String>,
    description: &Option<String>,
    tags: &[String],
    metadata: &BTreeMap<String, String>,
) -> Map<String, Value> {
    let fields = [
        ("_loc", json!({ "tenant": tenant, "teams": ["default"] })),
        ("id", json!(id)),
        ("name", json!(display_name.as_deref().unwrap_or(id))),
        ("description", json!(description.as_deref().unwrap_or_default())),
        ("tags", json!(tags)),
        ("metadata", json!(metadata)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
