use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;
use crate::bounds::MAX_PATTERN;

/// Regular requests to each target; those that fail them get no traffic. Not supported yet: every property must have its default.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.enabled) || !self.enabled || has(self.url)")
    .message("an enabled health check needs a url, for instance /health").reason(Reason::FieldValueRequired))]
pub struct HealthCheck {
    /// Whether targets are checked. Default: false. true is not supported yet.
    #[serde(default)]
    pub enabled: bool,
    /// What is requested: a path, which is asked of every target, or an absolute URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self.startsWith('/') || self.startsWith('http://') || self.startsWith('https://')")
        .message("url is a path such as /health, or starts with http:// or https://"))]
    pub url: Option<String>,
    /// How long a target may take to answer a check. Default: 5s.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// Status codes of a healthy target. With none in this list and `unhealthyStatuses`: 200 to 499.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::statuses")]
    pub healthy_statuses: Vec<u16>,
    /// Status codes of an unhealthy target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::statuses")]
    pub unhealthy_statuses: Vec<u16>,
    /// Regular expressions of which one has to be found in the body of a healthy target's answer. Empty: any body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = MAX_PATTERN)))]
    pub healthy_regex_checks: Vec<String>,
    /// Regular expressions of which none may be found in the body of a healthy target's answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = MAX_PATTERN)))]
    pub unhealthy_regex_checks: Vec<String>,
    /// Take away traffic also from a target that answers, but as unhealthy; otherwise only from one that doesn't answer.
    /// Default: false.
    #[serde(default)]
    pub block_on_red: bool,
    /// Send a number that the target has to answer increased by 42, as Otoroshi does. Default: true.
    #[serde(default = "default_true")]
    pub logic_check: bool,
}

const fn default_timeout() -> Duration {
    Duration::from_millis(5_000)
}

const fn default_true() -> bool {
    true
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            enabled: false,
            url: None,
            timeout: default_timeout(),
            healthy_statuses: Vec::new(),
            unhealthy_statuses: Vec::new(),
            healthy_regex_checks: Vec::new(),
            unhealthy_regex_checks: Vec::new(),
            block_on_red: false,
            logic_check: true,
        }
    }
}
