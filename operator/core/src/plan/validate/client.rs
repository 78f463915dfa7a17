use crds::{ClientSettings, CustomTimeouts};

use crate::plan::findings::{Field, Findings};
use crate::plan::model::Timeouts;

pub(super) fn timeouts<'a>(
    spec: &'a ClientSettings,
    at: &Field<'_>,
    findings: &mut Findings,
) -> (Timeouts, Vec<(&'a str, Timeouts)>) {
    unsupported(spec, at, findings);
    let at_custom = at.name("customTimeouts");
    for (index, custom) in spec.custom_timeouts.iter().enumerate() {
        if custom.path.is_empty() {
            findings.invalid(&at_custom.index(index).name("path"), "write a pattern, for instance /api/*");
        }
    }
    let timeouts = Timeouts {
        connection: spec.connection_timeout.as_millis(),
        idle: spec.idle_timeout.as_millis(),
        call: spec.call_timeout.as_millis(),
        call_and_stream: spec.call_and_stream_timeout.as_millis(),
        global: spec.global_timeout.as_millis(),
    };
    (timeouts, spec.custom_timeouts.iter().map(custom).collect())
}

fn custom(spec: &CustomTimeouts) -> (&str, Timeouts) {
    let timeouts = Timeouts {
        connection: spec.connection_timeout.as_millis(),
        idle: spec.idle_timeout.as_millis(),
        call: spec.call_timeout.as_millis(),
        call_and_stream: spec.call_and_stream_timeout.as_millis(),
        global: spec.global_timeout.as_millis(),
    };
    (&spec.path, timeouts)
}

/// Retries, circuit breaker, connection cache and forward proxy come later: until then only their defaults are accepted.
fn unsupported(spec: &ClientSettings, at: &Field<'_>, findings: &mut Findings) {
    let default = ClientSettings::default();
    let mut only = |name, is_default: bool, default: &dyn std::fmt::Display| {
        if !is_default {
            findings.unsupported(&at.name(name), format_args!("write {default}, the default"));
        }
    };
    only("retries", spec.retries == default.retries, &default.retries);
    only("maxErrors", spec.max_errors == default.max_errors, &default.max_errors);
    let delay = default.retry_initial_delay;
    only("retryInitialDelay", spec.retry_initial_delay == delay, &delay);
    only("backoffFactor", spec.backoff_factor == default.backoff_factor, &default.backoff_factor);
    only("sampleInterval", spec.sample_interval == default.sample_interval, &default.sample_interval);
    if spec.cache_connection_settings != default.cache_connection_settings {
        findings.unsupported(&at.name("cacheConnectionSettings"), "leave it out");
    }
    if spec.proxy.is_some() {
        findings.unsupported(&at.name("proxy"), "leave it out");
    }
}
