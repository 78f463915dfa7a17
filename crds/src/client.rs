use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{MAX_CUSTOM_TIMEOUTS, MAX_PATTERN};
use crate::{Duration, UpstreamProxy};

/// How the gateway connects to targets. The defaults are those of Otoroshi's Backends page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClientSettings {
    /// How often a request that failed is sent again, to another target if there is one; 0 to 100. A request that may have
    /// reached a target is only if its method is idempotent (see `retryNonIdempotent`). Default: 1.
    #[schemars(range(min = 0, max = 100))]
    pub retries: u32,
    /// Errors in a row, within `sampleInterval`, after which the circuit breaker of a target opens: it then gets no requests
    /// for `sampleInterval`, and after that one, whose outcome decides. At most half of a backend's targets, or one, are kept
    /// from requests at a time. Default: 20.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_errors: u32,
    /// The delay before the first retry. Each delay is shortened by a random part, up to a half. Default: 50ms.
    pub retry_initial_delay: Duration,
    /// What the delay is multiplied by after each retry from the second on, a whole number from 1 to 100. Default: 2.
    #[schemars(range(min = 1, max = 100))]
    pub backoff_factor: u32,
    /// How long a connection to a target may take to be made; 0s: no limit. Default: 10s.
    pub connection_timeout: Duration,
    /// How long nothing may move on a connection in the middle of a call; 0s: no limit. Default: 1m.
    pub idle_timeout: Duration,
    /// How long one call may take, with the whole answer streamed; 0s: no limit. Default: 2m.
    pub call_and_stream_timeout: Duration,
    /// How long a target may take until the head of its answer; 0s: no limit. Default: 30s.
    pub call_timeout: Duration,
    /// How long a request may take over all tries, until the head of the answer; 0s: no limit. Default: 30s.
    pub global_timeout: Duration,
    /// The delay before the second retry; see `backoffFactor` for further ones. Also how long the circuit breaker counts
    /// errors and stays open; 0s: there is no circuit breaker. Default: 2s.
    pub sample_interval: Duration,
    /// Retry also requests whose method is not idempotent, as POST and PATCH, when a target may have seen them. They may then
    /// have their effect twice. Default: false.
    pub retry_non_idempotent: bool,
    /// Answers with these statuses are failures that are retried. Default: 502, 503 and 504.
    #[schemars(schema_with = "crate::bounds::statuses")]
    pub retry_statuses: Vec<u16>,
    /// For the circuit breaker, answers from 500 are errors, too. Default: true.
    pub count_server_errors: bool,
    /// Other timeouts for some paths, at most 32; the first whose `path` matches counts.
    #[schemars(length(max = MAX_CUSTOM_TIMEOUTS))]
    pub custom_timeouts: Vec<CustomTimeouts>,
    /// Which connections requests use, and how many requests wait for one.
    pub cache_connection_settings: ConnectionCache,
    /// A forward proxy on the way to the targets. If absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<UpstreamProxy>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            retries: 1,
            max_errors: 20,
            retry_initial_delay: Duration::from_millis(50),
            backoff_factor: 2,
            connection_timeout: Duration::from_millis(10_000),
            idle_timeout: Duration::from_millis(60_000),
            call_and_stream_timeout: Duration::from_millis(120_000),
            call_timeout: Duration::from_millis(30_000),
            global_timeout: Duration::from_millis(30_000),
            sample_interval: Duration::from_millis(2_000),
            retry_non_idempotent: false,
            retry_statuses: vec![502, 503, 504],
            count_server_errors: true,
            custom_timeouts: Vec::new(),
            cache_connection_settings: ConnectionCache::default(),
            proxy: None,
        }
    }
}

/// Other timeouts for the paths that meet a pattern; the first that matches counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CustomTimeouts {
    /// A pattern for the whole path with its query; `*` stands for any characters. Default: `/*`.
    #[schemars(length(min = 1, max = MAX_PATTERN))]
    pub path: String,
    /// How long a connection to a target may take to be made; 0s: no limit. Default: 10s.
    pub connection_timeout: Duration,
    /// How long nothing may move on a connection in the middle of a call; 0s: no limit. Default: 1m.
    pub idle_timeout: Duration,
    /// How long one call may take, with the whole answer streamed; 0s: no limit. Default: 1h.
    pub call_and_stream_timeout: Duration,
    /// How long a target may take until the head of its answer; 0s: no limit. Default: 30s.
    pub call_timeout: Duration,
    /// How long a request may take over all tries, until the head of the answer; 0s: no limit. Default: 30s.
    pub global_timeout: Duration,
}

impl Default for CustomTimeouts {
    fn default() -> Self {
        Self {
            path: "/*".to_owned(),
            connection_timeout: Duration::from_millis(10_000),
            idle_timeout: Duration::from_millis(60_000),
            call_and_stream_timeout: Duration::from_millis(3_600_000),
            call_timeout: Duration::from_millis(30_000),
            global_timeout: Duration::from_millis(30_000),
        }
    }
}

/// Which connections requests use, and how many requests wait for one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConnectionCache {
    /// Keep connections to the targets in a pool of this backend's own. Default: false: in the worker's pool, which backends
    /// with the same targets share.
    pub enabled: bool,
    /// Most requests that wait for a connection to a target, when as many are in use as a worker opens to one, 1 to 65536.
    /// Further ones are answered 503. Default: 2048.
    #[schemars(range(min = 1, max = 65536))]
    pub queue_size: u32,
}

impl Default for ConnectionCache {
    fn default() -> Self {
        Self { enabled: false, queue_size: 2048 }
    }
}
