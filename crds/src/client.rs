use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// How the gateway connects to targets. The defaults are those of Otoroshi's Backends page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClientSettings {
    pub retries: u32,
    pub max_errors: u32,
    pub retry_initial_delay: Duration,
    pub backoff_factor: u32,
    pub connection_timeout: Duration,
    pub idle_timeout: Duration,
    pub call_and_stream_timeout: Duration,
    pub call_timeout: Duration,
    pub global_timeout: Duration,
    pub sample_interval: Duration,
    pub custom_timeouts: Vec<CustomTimeouts>,
    pub cache_connection_settings: ConnectionCache,
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
    pub path: String,
    pub connection_timeout: Duration,
    pub idle_timeout: Duration,
    pub call_and_stream_timeout: Duration,
    pub call_timeout: Duration,
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConnectionCache {
    pub enabled: bool,
    pub queue_size: u32,
}

impl Default for ConnectionCache {
    fn default() -> Self {
        Self { enabled: false, queue_size: 2048 }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamProxy {
    pub host: String,
    pub port: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}
