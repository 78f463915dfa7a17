use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{MAX_CUSTOM_TIMEOUTS, MAX_PATTERN};
use crate::{Duration, UpstreamProxy};

/// How the gateway connects to targets. The defaults are those of Otoroshi's Backends page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClientSettings {
    /// How often a request is tried in all, as in Otoroshi: 1 means no second try. 1 to 100. Default: 1; more is not supported
    /// yet.
    #[schemars(range(min = 1, max = 100))]
    pub retries: u32,
    /// Errors in a row after which the circuit breaker of a target opens. Default: 20; another value is not supported yet.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_errors: u32,
    /// The delay before the second try. Default: 50ms; another value is not supported yet.
    pub retry_initial_delay: Duration,
    /// What the delay is multiplied by after each try, a whole number from 1 to 100. Default: 2; another value is not
    /// supported yet.
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
    /// How long the circuit breaker stays open before it lets one request try again. Default: 2s; another value is not
    /// supported yet.
    pub sample_interval: Duration,
    /// Other timeouts for some paths, at most 32; the first whose `path` matches counts.
    #[schemars(length(max = MAX_CUSTOM_TIMEOUTS))]
    pub custom_timeouts: Vec<CustomTimeouts>,
    /// Whether and how connections are kept between requests.
    pub cache_connection_settings: ConnectionCache,
    /// A forward proxy on the way to the targets. If absent: none. Not supported yet.
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

/// Whether connections are kept between requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConnectionCache {
    /// Bound the connections kept to a target by `queueSize`. Default: false. true is not supported yet.
    pub enabled: bool,
    /// How many connections may wait in the queue, 1 to 65536. Default: 2048; another value is not supported yet.
    #[schemars(range(min = 1, max = 65536))]
    pub queue_size: u32,
}

impl Default for ConnectionCache {
    fn default() -> Self {
        Self { enabled: false, queue_size: 2048 }
    }
}
