use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of a Backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendStatus {
    /// The newest metadata.generation that the leader has looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Accepted (the leader takes it as it is) and Programmed (every worker serves by it), one of each type.
    #[serde(default)]
    #[schemars(schema_with = "crate::bounds::conditions")]
    pub conditions: Vec<Condition>,
}

/// What became of a Route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteStatus {
    /// The newest metadata.generation that the leader has looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Accepted (the leader takes it as it is) and Programmed (every worker serves by it), one of each type.
    #[serde(default)]
    #[schemars(schema_with = "crate::bounds::conditions")]
    pub conditions: Vec<Condition>,
}
