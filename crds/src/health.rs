use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;
use crate::bounds::{MAX_GRPC_SERVICE, MAX_JITTER, MAX_PATTERN, MAX_REGEX_CHECKS, MAX_THRESHOLD};

/// Regular checks of each target by every worker; a target that fails them gets no traffic.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!has(self.enabled) || !self.enabled || has(self.url) || (has(self.type) && self.type != 'Http')")
        .message("an enabled health check needs a url, for instance /health").reason(Reason::FieldValueRequired),
    validation = Rule::new("!has(self.type) || self.type == 'Http' || !has(self.url)")
        .message("url only goes with type Http"),
    validation = Rule::new("!has(self.type) || self.type == 'Http' || (\
        (!has(self.healthyStatuses) || size(self.healthyStatuses) == 0) && \
        (!has(self.unhealthyStatuses) || size(self.unhealthyStatuses) == 0))")
        .message("healthyStatuses and unhealthyStatuses only go with type Http"),
    validation = Rule::new("!has(self.type) || self.type == 'Http' || (\
        (!has(self.healthyRegexChecks) || size(self.healthyRegexChecks) == 0) && \
        (!has(self.unhealthyRegexChecks) || size(self.unhealthyRegexChecks) == 0))")
        .message("healthyRegexChecks and unhealthyRegexChecks only go with type Http"),
    validation = Rule::new("!has(self.type) || self.type == 'Http' || !has(self.blockOnRed) || !self.blockOnRed")
        .message("blockOnRed only goes with type Http"),
    validation = Rule::new("!has(self.service) || (has(self.type) && self.type == 'Grpc')")
        .message("service only goes with type Grpc")
)]
pub struct HealthCheck {
    /// Whether targets are checked. Default: false.
    #[serde(default)]
    pub enabled: bool,
    /// Http (a GET), Tcp (a connection is enough), or Grpc (grpc.health.v1.Health/Check, by HTTP/2). Default: Http.
    #[serde(default, rename = "type")]
    pub type_: HealthCheckType,
    /// What is requested: a path, of every target, or a URL. Of a URL whose host and port are those of a target, the path is
    /// requested of every target; that of another server speaks for all targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self.startsWith('/') || self.startsWith('http://') || self.startsWith('https://')")
        .message("url is a path such as /health, or starts with http:// or https://"))]
    pub url: Option<String>,
    /// For Grpc: the service whose health is asked for. If absent: the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_GRPC_SERVICE))]
    pub service: Option<String>,
    /// How often a target is checked: 100ms to 1h. Default: 10s.
    #[serde(default = "default_interval")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('1h')")
        .message("interval is 100ms to 1h"))]
    pub interval: Duration,
    /// Percent of the interval by which the time between two checks is shorter at random, so that workers don't check at the
    /// same moment: 0 to 50. Default: 10.
    #[serde(default = "default_jitter")]
    #[schemars(range(min = 0, max = MAX_JITTER))]
    pub jitter: u32,
    /// How long a target may take to answer a check: 1ms to 10m. Default: 5s.
    #[serde(default = "default_timeout")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1ms') && duration(self) <= duration('10m')")
        .message("timeout is 1ms to 10m"))]
    pub timeout: Duration,
    /// How many good checks in a row give a target its traffic back: 1 to 100. Default: 1.
    #[serde(default = "default_threshold")]
    #[schemars(range(min = 1, max = MAX_THRESHOLD))]
    pub healthy_threshold: u32,
    /// How many bad checks in a row take a target's traffic away: 1 to 100. A check of a target that doesn't answer makes up to
    /// three attempts. Default: 1.
    #[serde(default = "default_threshold")]
    #[schemars(range(min = 1, max = MAX_THRESHOLD))]
    pub unhealthy_threshold: u32,
    /// Status codes of a healthy target. With none in this list: 200 to 499 without those in `unhealthyStatuses`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::statuses")]
    pub healthy_statuses: Vec<u16>,
    /// Status codes of an unhealthy target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::statuses")]
    pub unhealthy_statuses: Vec<u16>,
    /// Regular expressions of which one has to be found in the first 64 KiB of the body of a healthy target's answer, if that
    /// is text. Empty: any body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_REGEX_CHECKS), inner(length(min = 1, max = MAX_PATTERN)))]
    pub healthy_regex_checks: Vec<String>,
    /// Regular expressions of which none may be found in that part of the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_REGEX_CHECKS), inner(length(min = 1, max = MAX_PATTERN)))]
    pub unhealthy_regex_checks: Vec<String>,
    /// Take away traffic also from a target that answers, but as unhealthy; otherwise only from one that doesn't answer.
    /// Default: false.
    #[serde(default)]
    pub block_on_red: bool,
    /// Send a number that the target should answer increased by 42, as Otoroshi does. A target that doesn't is yellow instead
    /// of green, and keeps its traffic. Default: true.
    #[serde(default = "default_true")]
    pub logic_check: bool,
}

/// How a target is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HealthCheckType {
    #[default]
    Http,
    Tcp,
    Grpc,
}

impl HealthCheck {
    pub const MIN_INTERVAL: Duration = Duration::from_millis(100);
    pub const MAX_INTERVAL: Duration = Duration::from_millis(3_600_000);
    pub const MIN_TIMEOUT: Duration = Duration::from_millis(1);
    pub const MAX_TIMEOUT: Duration = Duration::from_millis(600_000);
}

const fn default_interval() -> Duration {
    Duration::from_millis(10_000)
}

const fn default_jitter() -> u32 {
    10
}

const fn default_threshold() -> u32 {
    1
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
            type_: HealthCheckType::Http,
            url: None,
            service: None,
            interval: default_interval(),
            jitter: default_jitter(),
            timeout: default_timeout(),
            healthy_threshold: default_threshold(),
            unhealthy_threshold: default_threshold(),
            healthy_statuses: Vec::new(),
            unhealthy_statuses: Vec::new(),
            healthy_regex_checks: Vec::new(),
            unhealthy_regex_checks: Vec::new(),
            block_on_red: false,
            logic_check: true,
        }
    }
}
