//! What the CRD's schema demands, asked of a file. The schema is the one that the API server gets, so that a file and a
//! custom resource are refused for the same reasons; the rules in CEL are `plan`'s to check.

mod shape;
mod verdict;

use std::sync::LazyLock;

use dataplane_snapshot::Kind;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::document::Finding;
use shape::Shape;

static BACKEND: LazyLock<Shape> = LazyLock::new(shape_of::<crds::Backend>);
static ROUTE: LazyLock<Shape> = LazyLock::new(shape_of::<crds::Route>);

/// Adds every way in which `spec` isn't what the schema says. Fields begin with `spec`; places are left open.
pub(crate) fn check(kind: Kind, spec: &Value, findings: &mut Vec<Finding>) {
    let shape = match kind {
        Kind::Backend => &*BACKEND,
        _ => &*ROUTE,
    };
    verdict::check(shape, spec, &verdict::Path::Root("spec"), findings);
}

fn shape_of<K: CustomResourceExt>() -> Shape {
    let schema = K::crd().spec.versions.into_iter().next().and_then(|version| version.schema);
    let spec = schema.and_then(|schema| schema.open_api_v3_schema?.properties?.remove("spec"));
    Shape::from(spec.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_was_found_and_every_pattern_compiles() {
        for shape in [&*BACKEND, &*ROUTE] {
            assert!(matches!(shape.form, shape::Form::Object { .. }), "{shape:?}");
            shape.each(&mut |inner| {
                assert!(!matches!(inner.form, shape::Form::Any), "a schema without a type: {inner:?}");
                if let shape::Form::Text { pattern: Some(pattern), .. } = &inner.form {
                    assert!(pattern.regex.is_some(), "{}", pattern.source);
                }
            });
        }
    }
}
