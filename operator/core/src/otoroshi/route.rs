use crds::{BackendReference, RouteBackend, RouteFilters, RouteMatch, RouteSpec};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::plugins::Plugins;
use super::reader::{Reader, problem};
use super::{backend, frontend, plugins};

/// What Otoroshi's form has no words for, in the spelling of the custom resource.
const EXTENSION: &str = "komainu";

/// The fields of a route that other entities don't have.
pub(super) fn read(reader: &mut Reader<'_>) -> RouteSpec {
    for name in ["debug_flow", "capture", "export_reporting"] {
        reader.only(name, &[json!(false)]);
    }
    reader.only("groups", &[json!(["default"]), json!([])]);
    let extension = reader.object(EXTENSION, |extension| Extension {
        matches: read_extension(extension, "matches"),
        backends: read_extension(extension, "backends"),
        filters: read_extension(extension, "filters"),
    });
    let extension = extension.unwrap_or_default();
    let (matches, strip_path) = read_frontend(reader, extension.matches);
    let Plugins { override_host, filters } = read_plugins(reader, extension.filters);
    let is_answering = filters.as_ref().is_some_and(RouteFilters::is_answering);
    RouteSpec {
        enabled: reader.bool("enabled", true),
        listeners: reader.strings("bound_listeners"),
        matches,
        strip_path,
        override_host,
        backends: read_backends(reader, extension.backends, is_answering),
        filters,
        ..RouteSpec::default()
    }
}

#[derive(Default)]
struct Extension {
    matches: Option<Vec<RouteMatch>>,
    backends: Option<Vec<RouteBackend>>,
    filters: Option<RouteFilters>,
}

fn read_extension<T: DeserializeOwned>(reader: &mut Reader<'_>, name: &str) -> Option<T> {
    let field = reader.field(name);
    let value = reader.take(name)?;
    serde_json::from_value(value)
        .map_err(|error| reader.problems().push(problem(&field, error.to_string())))
        .ok()
}

/// The frontend and the extension have to say the same, so that a client that only knows the frontend can't change it without
/// effect.
fn read_frontend(reader: &mut Reader<'_>, extension: Option<Vec<RouteMatch>>) -> (Vec<RouteMatch>, bool) {
    let Some(matches) = extension else {
        let frontend = reader.object("frontend", frontend::read);
        if frontend.is_none() {
            reader.problem("frontend", "is missing: a route needs a frontend with domains");
        }
        return frontend.map_or((Vec::new(), true), |frontend| (frontend.matches, frontend.strip_path));
    };
    let Some(given) = reader.take("frontend") else { return (matches, true) };
    let strip_path = given.get("strip_path").and_then(Value::as_bool).unwrap_or(true);
    if given != frontend::write(&matches, strip_path) {
        let message =
            "isn't what komainu.matches says: change komainu.matches, or remove it to go by frontend alone";
        reader.problem("frontend", message);
    }
    (matches, strip_path)
}

/// Like a frontend, plugins have to say what the extension says, as far as they go.
fn read_plugins(reader: &mut Reader<'_>, extension: Option<RouteFilters>) -> Plugins {
    let Some(filters) = extension else { return plugins::read(reader) };
    let given = reader.take("plugins").unwrap_or_else(|| plugins::write(false, Some(&filters)));
    let override_host = [false, true]
        .into_iter()
        .find(|override_host| plugins::write(*override_host, Some(&filters)) == given);
    if override_host.is_none() {
        let message =
            "isn't what komainu.filters says: change komainu.filters, or remove it to go by plugins alone";
        reader.problem("plugins", message);
    }
    Plugins { override_host: override_host.unwrap_or_default(), filters: Some(filters) }
}

/// `backend_ref` wins over `backend`, which in Otoroshi's own answers is a copy of what is referred to.
fn read_backends(
    reader: &mut Reader<'_>,
    extension: Option<Vec<RouteBackend>>,
    is_answering: bool,
) -> Vec<RouteBackend> {
    let (inline, reference) = (reader.take("backend"), reader.text("backend_ref"));
    if let Some(backends) = extension {
        let (backend, backend_ref) = write_backends(&backends);
        let same_backend = inline.is_none_or(|inline| inline == backend);
        if !same_backend || reference.map_or(Value::Null, Value::String) != backend_ref {
            let message = "isn't what komainu.backends says: change komainu.backends, or remove it";
            reader.problem("backend", message);
        }
        return backends;
    }
    if let Some(name) = reference {
        return vec![RouteBackend {
            reference: Some(BackendReference { name, namespace: None }),
            inline: None,
            weight: 1,
        }];
    }
    let Some(inline) = inline else {
        if is_answering {
            return Vec::new();
        }
        reader.problem("backend", "is missing: a route needs a backend, or a backend_ref with the id of one");
        return Vec::new();
    };
    let field = reader.field("backend");
    let inline = super::reader::whole_object(&field, inline, reader.problems(), backend::read);
    vec![RouteBackend { reference: None, inline, weight: 1 }]
}

pub(super) fn write(spec: &RouteSpec, json: &mut Map<String, Value>) {
    let frontend = frontend::write(&spec.matches, spec.strip_path);
    let (backend, backend_ref) = write_backends(&spec.backends);
    let mut extension = Map::new();
    if !frontend::is_complete(&frontend, &spec.matches) {
        extension.insert("matches".to_owned(), json!(spec.matches));
    }
    let is_answering = spec.filters.as_ref().is_some_and(RouteFilters::is_answering);
    if !is_complete(&backend, &backend_ref, &spec.backends, is_answering) {
        extension.insert("backends".to_owned(), json!(spec.backends));
    }
    let filters = spec.filters.as_ref();
    let plugins = plugins::write(spec.override_host, filters);
    if let Some(filters) = filters.filter(|filters| !plugins::is_complete(&plugins, filters)) {
        extension.insert("filters".to_owned(), json!(filters));
    }
    let fields = [
        ("enabled", json!(spec.enabled)),
        ("debug_flow", json!(false)),
        ("capture", json!(false)),
        ("export_reporting", json!(false)),
        ("groups", json!(["default"])),
        ("bound_listeners", json!(spec.listeners)),
        ("frontend", frontend),
        ("backend", backend),
        ("backend_ref", backend_ref),
        ("plugins", plugins),
    ];
    json.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
    if !extension.is_empty() {
        json.insert(EXTENSION.to_owned(), Value::Object(extension));
    }
}

/// `backend` and `backend_ref` of the first destination.
fn write_backends(backends: &[RouteBackend]) -> (Value, Value) {
    let first = backends.first();
    let reference = first.and_then(|first| first.reference.as_ref()).map(|reference| reference.name.clone());
    let inline = first.and_then(|first| first.inline.as_ref()).map(backend::write);
    (json!(inline), json!(reference))
}

/// Whether Otoroshi's form says all of it.
fn is_complete(backend: &Value, backend_ref: &Value, backends: &[RouteBackend], is_answering: bool) -> bool {
    let mut problems = Vec::new();
    let fields = json!({ "backend": backend, "backend_ref": backend_ref });
    let read = Reader::new("", fields, &mut problems)
        .map(|mut reader| read_backends(&mut reader, None, is_answering));
    problems.is_empty() && read.as_deref() == Some(backends)
}
