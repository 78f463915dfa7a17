use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{MAX_CONDITION_NAME, MAX_HEADER_VALUE, MAX_MODIFIED_HEADERS};

/// Changes of headers. A header is named in at most one of the lists, whatever the case.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderModifier {
    /// Headers that have this value afterwards and no other. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_MODIFIED_HEADERS))]
    #[x_kube(validation = crate::bounds::header_names())]
    pub set: Vec<HeaderValue>,
    /// Headers that get this value in addition to those that they have. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_MODIFIED_HEADERS))]
    #[x_kube(validation = crate::bounds::header_names())]
    pub add: Vec<HeaderValue>,
    /// Headers that get this value if they aren't there. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_MODIFIED_HEADERS))]
    #[x_kube(validation = crate::bounds::header_names())]
    pub set_if_missing: Vec<HeaderValue>,
    /// Names of headers that aren't there afterwards. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::names_of_headers")]
    pub remove: Vec<String>,
}

/// A header with its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderValue {
    /// The name of the header.
    #[schemars(length(min = 1, max = MAX_CONDITION_NAME))]
    pub name: String,
    /// The value as it is sent, in visible ASCII characters and blanks.
    #[schemars(length(max = MAX_HEADER_VALUE))]
    pub value: String,
}
