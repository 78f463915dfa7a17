use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;

use crate::{Backend, Route};

/// The definitions of all kinds, in the order of their names. The same on each call.
///
/// Apply these rather than `Backend::crd()`, whose schema isn't finished (see [`finish`]).
pub fn crds() -> Vec<CustomResourceDefinition> {
    [Backend::crd(), Route::crd()].map(finished).into()
}

/// The same as [`crds`], as one YAML stream for `kubectl apply -f -`. A test holds the files against the types.
pub fn to_yaml() -> String {
    [include_str!("../generated/backends.yaml"), include_str!("../generated/routes.yaml")].join("---\n")
}

fn finished(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            finish("", schema);
        }
    }
    crd
}

/// What the derived schema lacks for Kubernetes.
///
/// - Defaults: a scalar has its default in the schema, so that what a user leaves out of an object that they wrote is seen in
///   the stored one, and a later release can't change it under them. An object or a list that they didn't write isn't made up
///   (`client` alone would put 20 lines into each Backend), except `loadBalancing`, whose type is a printer column.
/// - `nullable`: without it the API server takes `field: null` as absent, which is what it means here.
/// - Descriptions: `kubectl explain` wraps lines by itself.
/// - Formats: only those that Kubernetes knows; for the others it prints a warning at each apply.
fn finish(name: &str, schema: &mut JSONSchemaProps) {
    let made_up =
        |default: &serde_json::Value| default.is_object() || default.is_array() || default.is_null();
    if name != "loadBalancing" && schema.default.as_ref().is_some_and(|default| made_up(&default.0)) {
        schema.default = None;
    }
    schema.nullable = None;
    schema.description = schema.description.take().map(|text| one_line(&text));
    if schema.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = Some("int32".to_owned());
    }
    for (name, property) in schema.properties.iter_mut().flatten() {
        finish(name, property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        finish("", items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        finish("", values);
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
