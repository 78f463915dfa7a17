//! `docs/otoroshi-names.md` is about the fields that exist, about all of them, and tells their true defaults.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use serde_json::Value;

/// The fields of a kind's spec by their path (`targets[].port`), with their default as the table writes it.
fn fields(kind: &str) -> BTreeMap<String, String> {
    let crd = crds::crds().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    let schema = crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
    let schema = serde_json::to_value(schema).unwrap();
    let mut found = BTreeMap::new();
    collect(&schema["properties"]["spec"], "", &mut found);
    found
}

fn collect(schema: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let default = match property.get("default") {
            None => "none".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        found.insert(path.clone(), default);
        // An inline backend is told by the other table.
        if !path.ends_with(".inline") {
            collect(property, &path, found);
            collect(&property["items"], &format!("{path}[]"), found);
        }
    }
}

/// The second and third column of each row that names a field of ours.
fn rows(kind: &str) -> Vec<(String, String)> {
    let page = include_str!("../../docs/otoroshi-names.md");
    let start = page.find(&format!("\n## {kind}\n")).unwrap();
    let section = &page[start + 4..];
    let section = &section[..section.find("\n## ").unwrap_or(section.len())];
    let row = |line: &str| {
        let columns: Vec<_> =
            line.split('|').map(|column| column.trim().trim_matches('`').to_owned()).collect();
        (columns.len() == 8 && line.contains('`') && !columns[2].is_empty())
            .then(|| (columns[2].clone(), columns[3].clone()))
    };
    section.lines().filter_map(row).collect()
}

fn compare(kind: &str, at_least: usize) {
    let (fields, rows) = (fields(kind), rows(kind));
    assert!(rows.len() >= at_least, "only {} rows were found for {kind}", rows.len());
    for (field, default) in &rows {
        let expected = fields.get(field);
        assert_eq!(expected, Some(default), "{field} of {kind}: left is the schema, right is the table");
    }
    let told: BTreeMap<_, _> = rows.into_iter().collect();
    let missing: Vec<_> = fields.keys().filter(|field| !told.contains_key(*field)).collect();
    assert!(missing.is_empty(), "fields of {kind} that docs/otoroshi-names.md doesn't tell: {missing:?}");
}

#[test]
fn the_table_tells_every_field_of_a_backend() {
    compare("Backend", 70);
}

#[test]
fn the_table_tells_every_field_of_a_route() {
    compare("Route", 30);
}
