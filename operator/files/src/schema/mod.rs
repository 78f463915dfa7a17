//! What the CRD's schema demands, asked of a file. The schema is the one that the API server gets, so that a file and a
//! custom resource are refused for the same reasons; the rules in CEL are `plan`'s to check.

mod shape;
mod verdict;

use std::sync::LazyLock;

use dataplane_snapshot::Kind;
use serde_json::Value;

use crate::document::Finding;
use shape::Shape;

static BACKEND: LazyLock<Shape> = LazyLock::new(|| shape_of("Backend"));
static ROUTE: LazyLock<Shape> = LazyLock::new(|| shape_of("Route"));

/// Adds every way in which `spec` isn't what the schema says. Fields begin with `spec`; places are left open.
pub(crate) fn check(kind: Kind, spec: &Value, findings: &mut Vec<Finding>) {
    let shape = match kind {
        Kind::Backend => &*BACKEND,
        _ => &*ROUTE,
    };
    verdict::check(shape, spec, &verdict::Path::Root("spec"), findings);
}

fn shape_of(kind: &str) -> Shape {
    let crd = crds::crds().into_iter().find(|crd| crd.spec.names.kind == kind);
    let schema = crd.and_then(|crd| crd.spec.versions.into_iter().next()?.schema?.open_api_v3_schema);
    Shape::from(schema.and_then(|schema| schema.properties?.remove("spec")).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_was_found_and_every_pattern_compiles() {
        for shape in [&*BACKEND, &*ROUTE] {
            assert!(matches!(shape, Shape::Object { .. }), "{shape:?}");
            shape.each(&mut |inner| {
                assert!(!matches!(inner, Shape::Any), "a schema without a type: {inner:?}");
                if let Shape::Text { pattern: Some(pattern), .. } = inner {
                    assert!(pattern.regex.is_some(), "{}", pattern.source);
                }
            });
        }
    }
}
