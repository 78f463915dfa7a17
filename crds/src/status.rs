use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{MAX_COUNT, MAX_TOLD, MAX_WORST};

/// What became of a Backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendStatus {
    /// The newest metadata.generation that the leader has looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// How many targets are ready of how many there are, as text for people: 3/4. Programs read targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub ready: Option<String>,
    /// How many targets the Backend has and how they are. Services count by their pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<TargetCounts>,
    /// How many Routes send requests or copies of them to the Backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_COUNT))]
    pub routes: Option<u32>,
    /// The targets that are worst off, at most 16, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_WORST), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub worst: Vec<WorstTarget>,
    /// Accepted (it is used as it is written), ResolvedRefs (all that it names exists), Healthy (its targets are), Programmed
    /// (every worker serves by it) and Ready (the last two together), one of each type.
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
    /// With inline backends: how many of their targets are ready of how many there are, as text for people: 3/4. Programs read
    /// targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub ready: Option<String>,
    /// With inline backends: how many targets they have and how these are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<TargetCounts>,
    /// With inline backends: the targets that are worst off, at most 16, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_WORST), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub worst: Vec<WorstTarget>,
    /// Accepted (it is used as it is written), ResolvedRefs (all that it names exists), Healthy (with inline backends: their
    /// targets are), Programmed (every worker serves by it) and Ready (it is Programmed, and a backend can take requests), one
    /// of each type. Overlapping is there while another Route takes requests that this one would match,
    /// and LimitReached while a limit per day or month is used up.
    #[serde(default)]
    #[schemars(schema_with = "crate::bounds::conditions")]
    pub conditions: Vec<Condition>,
}

/// How many targets there are, and how they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TargetCounts {
    /// All that workers have.
    #[schemars(range(max = MAX_COUNT))]
    pub total: u32,
    /// Those that get requests by what most workers say; all, where none is checked.
    #[schemars(range(max = MAX_COUNT))]
    pub ready: u32,
    /// Those that the circuit breaker of some worker keeps requests from.
    #[schemars(range(max = MAX_COUNT))]
    pub ejected: u32,
}

/// A target that isn't as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorstTarget {
    /// The target's id; of an inline backend with the index of the backend before it, as in 0/http://api.internal:8080.
    #[schemars(length(min = 1, max = MAX_TOLD))]
    pub id: String,
    /// How the target is by what the workers say.
    pub state: TargetState,
    /// What a worker found, for people. May be empty.
    #[serde(default)]
    #[schemars(length(max = MAX_TOLD))]
    pub reason: String,
    /// How many workers say so.
    #[schemars(range(max = MAX_COUNT))]
    pub workers: u32,
}

/// How a target is, the worst first: Out (most workers give it no requests, for its checks), Disputed (some give it none),
/// Ejected (its circuit breaker is open on some).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum TargetState {
    Out,
    Disputed,
    Ejected,
}
