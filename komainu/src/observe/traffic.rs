//! The proxy's counters as metrics. The labels are closed lists: status classes and reasons.

use std::sync::Arc;

use dataplane_proxy::{DURATION_BUCKETS, LookupOutcome, MirrorOutcome, Proxy, RetryOutcome, Stats};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::encode::{counter, family, gauge, signed};

pub(crate) struct Traffic(pub(crate) Arc<Proxy>);

impl std::fmt::Debug for Traffic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Traffic")
    }
}

/// By the first digit of the status; the first is for exchanges without an answer.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

impl Collector for Traffic {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let stats = self.0.stats();
        let classes: Vec<_> = CLASSES.into_iter().zip(stats.responses).collect();
        family(&mut encoder, "requests", "Requests by the class of their answer", "class", &classes)?;
        let reasons: Vec<_> = stats.reasons.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
        let help = "Answers that the proxy itself gave, by reason";
        family(&mut encoder, "proxy_errors", help, "reason", &reasons)?;
        let retries: Vec<_> =
            RetryOutcome::ALL.map(|outcome| (outcome.as_str(), stats.retry(outcome))).into();
        let help = "Requests sent again after a failure, and those that were not for want of budget or time";
        family(&mut encoder, "retries", help, "outcome", &retries)?;
        let mirrored: Vec<_> =
            MirrorOutcome::ALL.map(|outcome| (outcome.as_str(), stats.mirror(outcome))).into();
        let help = "Copies of requests for mirrors, by what became of them or why they were not sent";
        family(&mut encoder, "mirrored_requests", help, "outcome", &mirrored)?;
        let lookups: Vec<_> =
            LookupOutcome::ALL.map(|outcome| (outcome.as_str(), stats.lookup(outcome))).into();
        let help = "Look-ups of targets' names, by what they came to";
        family(&mut encoder, "name_lookups", help, "outcome", &lookups)?;
        durations(&mut encoder, &stats)?;
        for (name, help, value) in counters(&stats) {
            counter(&mut encoder, name, help, value)?;
        }
        open_breakers(&mut encoder, &self.0)?;
        disbelieved(&mut encoder, &self.0)?;
        for (name, help, value) in gauges(&stats) {
            gauge(&mut encoder, name, help, signed(value))?;
        }
        Ok(())
    }
}

fn counters(stats: &Stats) -> [(&'static str, &'static str, u64); 14] {
    [
        ("connections_accepted", "Client connections accepted", stats.accepted),
        ("connections_refused", "Client connections closed because of the limit", stats.refused),
        ("accept_pauses", "Rests of accepting for want of file descriptors", stats.accept_pauses),
        ("connections_http2", "Connections of clients that spoke HTTP/2", stats.http2_connections),
        ("connection_panics", "Connections ended by a bug in the proxy", stats.panics),
        ("upgrades", "Exchanges that became a tunnel, as WebSockets do", stats.upgraded),
        ("tls_handshakes", "TLS handshakes with clients that began from nothing", stats.tls_handshakes),
        ("tls_resumptions", "TLS handshakes with clients that resumed a session", stats.tls_resumptions),
        ("received_body_bytes", "Body bytes received from clients", stats.received_bytes),
        ("sent_bytes", "Bytes sent to clients", stats.sent_bytes),
        ("upstream_connects", "Connections opened to targets", stats.upstream_connects),
        ("upstream_reuses", "Requests sent on a kept connection", stats.upstream_reuses),
        ("upstream_resends", "Requests repeated as a kept connection was closed", stats.upstream_resends),
        ("breaker_openings", "How often circuit breakers opened", stats.breaker_openings),
    ]
}

fn gauges(stats: &Stats) -> [(&'static str, &'static str, u64); 8] {
    [
        ("connections_active", "Client connections open now", stats.active),
        ("http2_requests_active", "Requests open now on HTTP/2 connections", stats.http2_streams),
        ("mirrored_requests_active", "Copies of requests on their way to mirrors", stats.mirrors_active),
        ("upstream_idle_connections", "Idle connections to targets", stats.upstream_idle),
        (
            "upstream_used_connections",
            "Connections to targets that a request uses, without tunnels",
            stats.upstream_used,
        ),
        (
            "upstream_waiting_requests",
            "Requests that wait for a connection to a target",
            stats.upstream_waiting,
        ),
        ("names", "Names of targets that are kept fresh", stats.names),
        ("names_failing", "Names whose last look-up didn't bring all that it should", stats.names_failing),
    ]
}

/// One for each target whose breaker isn't closed, so that there are few, however many targets there are.
fn open_breakers(encoder: &mut DescriptorEncoder<'_>, proxy: &Proxy) -> Result<(), std::fmt::Error> {
    let help = "1 for each target that gets no requests, as its circuit breaker is open";
    let mut metric = encoder.encode_descriptor("breaker_open", help, None, MetricType::Gauge)?;
    for (backend, target) in proxy.open_breakers() {
        let backend = format!("{}/{}", backend.namespace(), backend.name());
        let labels = [("backend", backend.as_str()), ("target", &target)];
        ConstGauge::new(1_i64).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// One for each backend in panic, so that there are few.
fn disbelieved(encoder: &mut DescriptorEncoder<'_>, proxy: &Proxy) -> Result<(), std::fmt::Error> {
    let help = "1 for each backend whose health checks are disbelieved, as they leave too few targets";
    let mut metric = encoder.encode_descriptor("backend_panic", help, None, MetricType::Gauge)?;
    for backend in proxy.disbelieved() {
        let backend = format!("{}/{}", backend.namespace(), backend.name());
        ConstGauge::new(1_i64).encode(metric.encode_family(&[("backend", backend.as_str())])?)?;
    }
    Ok(())
}

fn durations(encoder: &mut DescriptorEncoder<'_>, stats: &Stats) -> Result<(), std::fmt::Error> {
    let bounds = DURATION_BUCKETS.iter().map(|micros| *micros as f64 / 1e6).chain([f64::MAX]);
    let buckets: Vec<_> = bounds.zip(stats.durations).collect();
    let count = stats.durations.iter().sum();
    let help = "From the end of the request head to the end of the answer";
    let name = "request_duration_seconds";
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    metric.encode_histogram::<NoLabelSet>(stats.duration_micros as f64 / 1e6, count, &buckets, None)
}
