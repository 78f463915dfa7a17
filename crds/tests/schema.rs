//! What holds for every field of the definitions.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Map, Value};

/// A schema with the place it stands at, for instance `backends.spec.targets[].port`.
fn walk(place: String, schema: &Map<String, Value>, visit: &mut impl FnMut(&str, &Map<String, Value>)) {
    visit(&place, schema);
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        walk(format!("{place}.{name}"), property.as_object().unwrap(), visit);
    }
    if let Some(items) = schema.get("items") {
        walk(format!("{place}[]"), items.as_object().unwrap(), visit);
    }
    if let Some(values) = schema.get("additionalProperties") {
        walk(format!("{place}{{}}"), values.as_object().unwrap(), visit);
    }
}

fn each(mut visit: impl FnMut(&str, &Map<String, Value>)) {
    let mut count = 0;
    for crd in crds::crds() {
        let schema = crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
        let schema = serde_json::to_value(schema).unwrap();
        walk(crd.spec.names.plural.clone(), schema.as_object().unwrap(), &mut |place, schema| {
            count += 1;
            visit(place, schema);
        });
    }
    assert!(count > 200, "only {count} schemas were looked at");
}

fn is(schema: &Map<String, Value>, type_: &str) -> bool {
    schema.get("type").and_then(Value::as_str) == Some(type_)
}

#[test]
fn everything_that_can_grow_has_a_maximum() {
    each(|place, schema| {
        let bound = |name: &str| schema.get(name).is_some_and(Value::is_number);
        if is(schema, "string") {
            let dated = schema.get("format").and_then(Value::as_str) == Some("date-time");
            assert!(bound("maxLength") || schema.contains_key("enum") || dated, "{place} has no maxLength");
        }
        if is(schema, "array") {
            assert!(bound("maxItems"), "{place} has no maxItems");
        }
        if schema.contains_key("additionalProperties") {
            assert!(bound("maxProperties"), "{place} has no maxProperties");
        }
        if is(schema, "integer") || is(schema, "number") {
            assert!(bound("minimum"), "{place} has no minimum");
            assert!(bound("maximum") || place.ends_with("observedGeneration"), "{place} has no maximum");
        }
        if schema.contains_key("x-kubernetes-int-or-string") {
            assert!(bound("maximum") && bound("maxLength"), "{place} has no maximum");
        }
    });
}

#[test]
fn every_field_is_explained_in_a_sentence() {
    each(|place, schema| {
        // Items and values of maps are explained where the list or the map is.
        if !place.ends_with("[]") && !place.ends_with("{}") && place.contains('.') {
            let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
            assert!(text.ends_with('.') && text.len() > 10, "{place} is explained by {text:?}");
            assert!(!text.contains('\n'), "{place} has a line break in {text:?}");
        }
    });
}

#[test]
fn schemas_are_structural_and_closed() {
    each(|place, schema| {
        for word in ["oneOf", "allOf", "not", "x-kubernetes-preserve-unknown-fields", "nullable", "$ref"] {
            assert!(!schema.contains_key(word), "{place} has {word}");
        }
        let port = schema.contains_key("x-kubernetes-int-or-string");
        assert_eq!(schema.contains_key("anyOf"), port, "{place} has anyOf");
        assert!(port || schema.contains_key("type"), "{place} has no type");
        if is(schema, "object") {
            let closed = schema.contains_key("properties") != schema.contains_key("additionalProperties");
            assert!(closed || place.ends_with(".metadata"), "{place} takes any field");
        }
        let format = schema.get("format").and_then(Value::as_str).unwrap_or("int32");
        assert!(["int32", "int64", "double", "date-time"].contains(&format), "{place} has format {format}");
    });
}

#[test]
fn only_scalars_have_defaults() {
    each(|place, schema| {
        if let Some(default) = schema.get("default") {
            let scalar = !default.is_object() && !default.is_array() && !default.is_null();
            assert!(scalar || place.ends_with(".loadBalancing"), "{place} has the default {default}");
        }
    });
}

#[test]
fn every_rule_has_a_message() {
    let mut rules = 0;
    each(|place, schema| {
        for rule in schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
            rules += 1;
            assert!(rule["message"].as_str().is_some_and(|message| message.len() > 20), "{place}: {rule}");
        }
    });
    assert!(rules > 30, "only {rules} rules");
}

#[test]
fn conditions_are_a_map_by_type() {
    let mut found = 0;
    each(|place, schema| {
        if place.ends_with(".status.conditions") {
            found += 1;
            assert_eq!(schema["x-kubernetes-list-type"], "map", "{place}");
            assert_eq!(schema["x-kubernetes-list-map-keys"], serde_json::json!(["type"]), "{place}");
        }
    });
    assert_eq!(found, 2);
}

#[test]
fn the_kinds_are_named_as_documented() {
    let names: Vec<_> = crds::crds()
        .iter()
        .map(|crd| {
            let names = &crd.spec.names;
            assert_eq!(crd.spec.group, crds::GROUP);
            assert_eq!(crd.spec.versions[0].name, crds::VERSION);
            assert!(crd.spec.versions[0].subresources.as_ref().unwrap().status.is_some());
            assert_eq!(names.categories.as_deref(), Some(&["komainu".to_owned()][..]));
            format!("{} {} {}", names.kind, names.plural, names.short_names.as_ref().unwrap().join(" "))
        })
        .collect();
    assert_eq!(names, ["Backend backends kbe", "Route routes krt"]);
}

/// What the schema fills in is what the types fill in, so that an object means the same in a cluster and in a folder.
#[test]
fn the_defaults_of_the_schema_are_those_of_the_types() {
    let mut checked = 0;
    each(|place, schema| {
        let fill = |object: &str| -> Option<Value> {
            Some(
                match object {
                    "backends.spec" => serde_json::to_value(crds::BackendSpec::default()),
                    "backends.spec.client" => serde_json::to_value(crds::ClientSettings::default()),
                    "backends.spec.client.customTimeouts[]" => {
                        serde_json::to_value(crds::CustomTimeouts::default())
                    }
                    "backends.spec.client.cacheConnectionSettings" => {
                        serde_json::to_value(crds::ConnectionCache::default())
                    }
                    "backends.spec.healthCheck" => serde_json::to_value(crds::HealthCheck::default()),
                    "backends.spec.loadBalancing" => serde_json::to_value(crds::LoadBalancing::default()),
                    "backends.spec.targets[]" => serde_json::to_value(crds::Target::default()),
                    "backends.spec.targets[].tlsConfig" => serde_json::to_value(crds::TlsConfig::default()),
                    "backends.spec.targets[].predicate" => serde_json::to_value(crds::Predicate::default()),
                    "routes.spec" => serde_json::to_value(crds::RouteSpec::default()),
                    _ => return None,
                }
                .unwrap(),
            )
        };
        let Some(filled) = fill(place) else { return };
        for (name, property) in schema["properties"].as_object().unwrap() {
            if let Some(default) = property.get("default") {
                assert_eq!(filled.get(name), Some(default), "{place}.{name}");
                checked += 1;
            }
        }
    });
    assert!(checked > 35, "only {checked} defaults");
}
