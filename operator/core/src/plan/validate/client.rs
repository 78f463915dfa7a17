use std::ops::RangeInclusive;

use crds::{ClientSettings, ConnectionCache, CustomTimeouts};
use dataplane_snapshot::wire;

use crate::plan::findings::{Field, Findings};
use crate::plan::model::Timeouts;

pub(super) fn timeouts<'a>(
    spec: &'a ClientSettings,
    at: &Field<'_>,
    findings: &mut Findings,
) -> (Timeouts, Vec<(&'a str, Timeouts)>) {
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

pub(super) fn retries(spec: &ClientSettings, at: &Field<'_>, findings: &mut Findings) -> wire::Retries {
    range(spec.retries, 0..=100, &at.name("retries"), findings);
    range(spec.backoff_factor, 1..=100, &at.name("backoffFactor"), findings);
    let at_statuses = at.name("retryStatuses");
    if spec.retry_statuses.len() > MAX_STATUSES {
        let count = spec.retry_statuses.len();
        findings.invalid(&at_statuses, format!("has {count} entries: write at most {MAX_STATUSES}"));
    }
    for (index, status) in spec.retry_statuses.iter().enumerate() {
        range(u32::from(*status), 100..=599, &at_statuses.index(index), findings);
    }
    wire::Retries {
        count: spec.retries,
        initial_delay: spec.retry_initial_delay.as_millis(),
        interval: spec.sample_interval.as_millis(),
        backoff_factor: spec.backoff_factor,
        non_idempotent: spec.retry_non_idempotent,
        statuses: spec.retry_statuses.iter().copied().map(u32::from).collect(),
    }
}

pub(super) fn breaker(spec: &ClientSettings, at: &Field<'_>, findings: &mut Findings) -> wire::Breaker {
    range(spec.max_errors, 1..=1_000_000, &at.name("maxErrors"), findings);
    wire::Breaker {
        max_errors: spec.max_errors,
        interval: spec.sample_interval.as_millis(),
        server_errors: spec.count_server_errors,
    }
}

pub(super) fn connections(
    spec: &ConnectionCache,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Option<wire::ConnectionSettings> {
    let at = at.name("cacheConnectionSettings");
    range(spec.queue_size, 1..=65_536, &at.name("queueSize"), findings);
    let settings = wire::ConnectionSettings { own_pool: spec.enabled, queue_size: spec.queue_size };
    (*spec != ConnectionCache::default()).then_some(settings)
}

/// As in the custom resource.
const MAX_STATUSES: usize = 64;

fn range(number: u32, allowed: RangeInclusive<u32>, at: &Field<'_>, findings: &mut Findings) {
    if !allowed.contains(&number) {
        let (least, most) = allowed.into_inner();
        findings.invalid(at, format!("{number} is out of range: write {least} to {most}"));
    }
}
