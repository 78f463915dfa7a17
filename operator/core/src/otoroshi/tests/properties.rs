use std::fmt::Debug;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::{Map, Value};

use super::specs;
use crate::Problem;
use crate::otoroshi::*;

fn json() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "id", "name", "_loc", "backend", "targets", "hostname", "port", "frontend", "domains", "headers",
        "plugins", "client", "komainu", "matches", "url", "type", "path",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        "[a-z*]{0,3}/[$:<(a*]{0,4}".prop_map(Value::from),
        "https?://[\\[\\]:0-9a-z]{0,6}(/a)?".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|fields| Value::Object(Map::from_iter(fields))),
        ]
    })
}

proptest! {
    #[test]
    fn a_backend_comes_back_as_it_was(spec in specs::backend()) {
        let entity = Entity { id: "b1".to_owned(), tenant: "acme".to_owned(), spec };
        prop_assert_eq!(backend_from_json(&backend_to_json(&entity)), Ok(entity));
    }

    #[test]
    fn a_route_comes_back_as_it_was(spec in specs::route()) {
        let entity = Entity { id: "r1".to_owned(), tenant: "acme".to_owned(), spec };
        prop_assert_eq!(route_from_json(&route_to_json(&entity)), Ok(entity));
    }

    #[test]
    fn damaged_json_is_refused_or_keeps_its_meaning(
        spec in specs::backend(), place in any::<prop::sample::Index>(), damage in json(),
    ) {
        let mut json = backend_to_json(&Entity::new("b1", spec));
        damaged(&mut json, place, damage);
        refused_or_kept(&json, backend_from_json, backend_to_json)?;
    }

    #[test]
    fn damaged_routes_are_refused_or_keep_their_meaning(
        spec in specs::route(), place in any::<prop::sample::Index>(), damage in json(),
    ) {
        let mut json = route_to_json(&Entity::new("r1", spec));
        damaged(&mut json, place, damage);
        refused_or_kept(&json, route_from_json, route_to_json)?;
    }

    /// Nearly all of it is refused, but an id alone can be enough.
    #[test]
    fn any_json_is_refused_or_keeps_its_meaning(json in json()) {
        refused_or_kept(&json, backend_from_json, backend_to_json)?;
        refused_or_kept(&json, route_from_json, route_to_json)?;
    }
}

/// It is refused with reasons, or it has a meaning that is written back.
fn refused_or_kept<S: Debug + PartialEq>(
    json: &Value,
    read: impl Fn(&Value) -> Result<Entity<S>, Vec<Problem>>,
    write: impl Fn(&Entity<S>) -> Value,
) -> Result<(), TestCaseError> {
    match read(json) {
        Ok(entity) => prop_assert_eq!(read(&write(&entity)), Ok(entity)),
        Err(problems) => prop_assert!(!problems.is_empty()),
    }
    Ok(())
}

/// The pointers of all values in it.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(name, value)| places(value, &format!("{path}/{}", escaped(name)), found));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| places(item, &format!("{path}/{index}"), found));
        }
        _ => {}
    }
}

fn damaged(json: &mut Value, place: prop::sample::Index, damage: Value) {
    let mut found = Vec::new();
    places(json, "", &mut found);
    *json.pointer_mut(place.get::<String>(&found)).unwrap() = damage;
}
