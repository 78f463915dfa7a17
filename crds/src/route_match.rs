use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{MAX_CONDITION_NAME, MAX_PATTERN, MAX_PER_MATCH};

/// The product of hostnames and paths, with conditions that all must hold.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteMatch {
    /// Exact (`api.example.com`) or wildcard (`*.example.com`: one or more labels in front), in lower case. The most specific
    /// one that matches a request wins. Empty: any. At most 32.
    #[serde(default)]
    #[schemars(schema_with = "crate::bounds::hostnames")]
    pub hostnames: Vec<String>,
    /// Empty: any path. At most 32.
    #[serde(default)]
    #[schemars(length(max = MAX_PER_MATCH))]
    pub paths: Vec<PathMatch>,
    /// Upper-case, for instance GET. Empty: any. At most 16.
    #[serde(default)]
    #[schemars(schema_with = "crate::bounds::methods")]
    pub methods: Vec<String>,
    /// Conditions on headers; their names are compared without case. At most 32.
    #[serde(default)]
    #[schemars(length(max = MAX_PER_MATCH))]
    #[x_kube(validation = crate::bounds::header_names())]
    pub headers: Vec<Condition>,
    /// Conditions on query parameters; any value of a repeated one will do. At most 32.
    #[serde(default)]
    #[schemars(length(max = MAX_PER_MATCH))]
    pub query: Vec<Condition>,
    /// Conditions on cookies. At most 32.
    #[serde(default)]
    #[schemars(length(max = MAX_PER_MATCH))]
    pub cookies: Vec<Condition>,
}

/// A path pattern.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathMatch {
    /// Prefix: the pattern meets the first segments of the path; Exact: all of them. Default: Prefix.
    #[serde(default, rename = "type")]
    pub type_: PathType,
    /// Segment by segment: a literal, `:name` (any one segment, by that name), `$name<regex>` (one segment that meets the
    /// expression as a whole), or a segment with `*` (any characters). For instance `/api/users/$id<[0-9]+>/bills`.
    #[schemars(length(min = 1, max = MAX_PATTERN))]
    #[x_kube(validation = Rule::new("self.startsWith('/')").message("a path starts with /, for instance /api"))]
    pub value: String,
}

/// How much of the path a pattern has to meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PathType {
    #[default]
    Prefix,
    Exact,
}

/// A condition on a header, a query parameter or a cookie.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!(self.type in ['Present', 'Absent']) || !has(self.value)")
        .message("Present and Absent look at the name alone: leave value out"),
    validation = Rule::new("self.type in ['Present', 'Absent'] || has(self.value)")
        .message("Exact, Regex and Wildcard need a value to compare with").reason(Reason::FieldValueRequired)
)]
pub struct Condition {
    /// The name of the header, query parameter or cookie.
    #[schemars(length(min = 1, max = MAX_CONDITION_NAME))]
    pub name: String,
    /// Exact, Regex (the whole value has to meet it; character classes are ASCII), Wildcard (`*` stands for any characters),
    /// Present or Absent. Default: Exact.
    #[serde(default, rename = "type")]
    pub type_: ConditionType,
    /// What the value is compared with. Not for Present and Absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_PATTERN))]
    pub value: Option<String>,
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionType {
    #[default]
    Exact,
    Regex,
    Wildcard,
    Present,
    Absent,
}
