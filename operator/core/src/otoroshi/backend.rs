use crds::BackendSpec;
use serde_json::{Value, json};

use super::reader::Reader;
use super::{balancing, client, health, shortcut, target};

/// The fields of a backend.
pub(super) fn read(reader: &mut Reader<'_>) -> BackendSpec {
    let shortcut = shortcut::read(reader);
    let targets = target::read_all(reader);
    let root = reader.text("root");
    // Left behind in samples of older versions, always empty.
    reader.only("target_refs", &[json!([])]);
    let spec = BackendSpec {
        targets,
        root: root.unwrap_or_else(|| "/".to_owned()),
        rewrite: reader.bool("rewrite", false),
        load_balancing: reader.object("load_balancing", balancing::read).unwrap_or_default(),
        panic_threshold: reader
            .number("panic_threshold", 0, 100)
            .and_then(|percent| u32::try_from(percent).ok()),
        health_check: reader.object("health_check", health::read),
        client: reader.object("client", client::read).unwrap_or_default(),
        allowed_namespaces: reader.strings("allowed_namespaces"),
        ..BackendSpec::default()
    };
    match shortcut {
        Some(shortcut) => BackendSpec { targets: vec![shortcut.target], root: shortcut.root, ..spec },
        None => spec,
    }
}

pub(super) fn write(spec: &BackendSpec) -> Value {
    let mut json = json!({
        "targets": spec.targets.iter().map(target::write).collect::<Vec<_>>(),
        "root": spec.root,
        "rewrite": spec.rewrite,
        "load_balancing": balancing::write(&spec.load_balancing),
        "health_check": spec.health_check.as_ref().map(health::write),
        "client": client::write(&spec.client),
    });
    // Ours, so they are there only if they are said.
    let allowed = &spec.allowed_namespaces;
    let ours = [
        ("panic_threshold", spec.panic_threshold.map(|percent| json!(percent))),
        ("allowed_namespaces", (!allowed.is_empty()).then(|| json!(allowed))),
    ];
    for (name, value) in ours {
        if let (Some(value), Some(fields)) = (value, json.as_object_mut()) {
            fields.insert(name.to_owned(), value);
        }
    }
    json
}
