//! A structural schema, made ready to be asked: sorted by type, patterns compiled.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use regex::Regex;

#[derive(Debug)]
pub(super) enum Shape {
    Object {
        properties: BTreeMap<String, Self>,
        required: Vec<String>,
        /// What other keys hold, if there may be others.
        others: Option<Box<Self>>,
        most: Option<i64>,
    },
    List {
        items: Box<Self>,
        least: Option<i64>,
        most: Option<i64>,
        unique: Unique,
    },
    Text {
        least: Option<i64>,
        most: Option<i64>,
        pattern: Option<Pattern>,
        one_of: Vec<String>,
    },
    Number {
        whole: bool,
        least: Option<f64>,
        most: Option<f64>,
    },
    Bool,
    /// `x-kubernetes-int-or-string`.
    NumberOrText,
    Any,
}

/// Which items of a list must differ (`x-kubernetes-list-type`).
#[derive(Debug)]
pub(super) enum Unique {
    No,
    Set,
    Map(Vec<String>),
}

#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) source: String,
    /// Absent if Rust's syntax differs from the API server's; a test keeps that from happening.
    pub(super) regex: Option<Regex>,
}

impl From<JSONSchemaProps> for Shape {
    fn from(schema: JSONSchemaProps) -> Self {
        match schema.type_.as_deref() {
            Some("object") => object(schema),
            Some("array") => list(schema),
            Some("string") => text(schema),
            Some(number @ ("integer" | "number")) => {
                Shape::Number { whole: number == "integer", least: schema.minimum, most: schema.maximum }
            }
            Some("boolean") => Shape::Bool,
            _ if schema.x_kubernetes_int_or_string == Some(true) => Shape::NumberOrText,
            _ => Self::Any,
        }
    }
}

fn object(schema: JSONSchemaProps) -> Shape {
    let properties = schema.properties.unwrap_or_default();
    let others = match schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(schema)) => Some(Box::new(Shape::from(*schema))),
        Some(JSONSchemaPropsOrBool::Bool(true)) => Some(Box::new(Shape::Any)),
        _ => None,
    };
    Shape::Object {
        properties: properties.into_iter().map(|(name, schema)| (name, Shape::from(schema))).collect(),
        required: schema.required.unwrap_or_default(),
        others,
        most: schema.max_properties,
    }
}

fn list(schema: JSONSchemaProps) -> Shape {
    let items = match schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => Shape::from(*items),
        _ => Shape::Any,
    };
    let unique = match schema.x_kubernetes_list_type.as_deref() {
        Some("set") => Unique::Set,
        Some("map") => Unique::Map(schema.x_kubernetes_list_map_keys.unwrap_or_default()),
        _ => Unique::No,
    };
    Shape::List { items: Box::new(items), least: schema.min_items, most: schema.max_items, unique }
}

fn text(schema: JSONSchemaProps) -> Shape {
    let one_of = schema.enum_.unwrap_or_default();
    Shape::Text {
        least: schema.min_length,
        most: schema.max_length,
        pattern: schema.pattern.map(|source| Pattern { regex: Regex::new(&source).ok(), source }),
        one_of: one_of.into_iter().filter_map(|value| value.0.as_str().map(str::to_owned)).collect(),
    }
}

#[cfg(test)]
impl Shape {
    pub(super) fn each(&self, visit: &mut dyn FnMut(&Self)) {
        visit(self);
        match self {
            Shape::Object { properties, others, .. } => {
                properties.values().chain(others.as_deref()).for_each(|shape| shape.each(visit));
            }
            Shape::List { items, .. } => items.each(visit),
            _ => {}
        }
    }
}
