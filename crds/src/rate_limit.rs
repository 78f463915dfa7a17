use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{MAX_CONDITION_NAME, MAX_RATE};

/// How many requests of one key are let through in each period, by all workers together.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!has(self.burst) || self.per in ['Second', 'Minute']")
        .message("burst only goes with per: Second or Minute: leave it out"),
    validation = Rule::new("!has(self.burst) || self.burst <= self.requests")
        .message("burst is a part of requests: write at most as many")
)]
pub struct RateLimit {
    /// How many requests there may be in each period, 1 to 1000000000.
    #[schemars(range(min = 1, max = MAX_RATE))]
    pub requests: u32,
    /// Second, Minute, Day or Month. Days and months are of UTC; they are counted in the state store, which all leaders have to
    /// share.
    pub per: RateLimitPeriod,
    /// For Second and Minute: how many requests may come at once after a pause, 1 to as many as `requests`. If absent: as many
    /// as fit into one second, or into ten seconds for Minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_RATE))]
    pub burst: Option<u32>,
    /// Whose requests are counted together. If absent: all requests of the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<RateLimitKey>,
}

/// The time that a limit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum RateLimitPeriod {
    Second,
    Minute,
    Day,
    Month,
}

/// What tells requests apart that are counted each for themselves.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("self.type != 'ClientAddress' || !has(self.name)")
        .message("name only goes with type Header or Cookie: leave it out"),
    validation = Rule::new("self.type == 'ClientAddress' || has(self.name)")
        .message("Header and Cookie need a name, for instance x-api-key").reason(Reason::FieldValueRequired)
)]
pub struct RateLimitKey {
    /// ClientAddress (addresses of IPv6 are counted by /64 network), Header or Cookie (by its value, of which only a digest is
    /// ever stored or shown). A request without the header or cookie is counted with the others that have none.
    #[serde(rename = "type")]
    pub type_: RateLimitKeyType,
    /// The name of the header, compared without case, or of the cookie. Not for ClientAddress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_CONDITION_NAME))]
    #[x_kube(validation = crate::bounds::token())]
    pub name: Option<String>,
}

/// What a key looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RateLimitKeyType {
    ClientAddress,
    Header,
    Cookie,
}
