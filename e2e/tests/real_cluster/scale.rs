use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::process::figure;

use crate::site::Site;

/// From the change of the EndpointSlice to what `kubectl get backends` shows.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);

pub(crate) fn health_follows_a_deployment_to_nothing_and_back(site: &Site) -> anyhow::Result<()> {
    shown(site, |line| line.contains("2/2") && line.contains("AllTargetsHealthy"), Instant::now())?;
    let mut slowest = Duration::ZERO;
    for (replicas, is_shown) in [
        ("0", (|line: &str| line.contains("0/0") && line.contains("NoHealthyTargets")) as fn(&str) -> bool),
        ("2", |line| line.contains("2/2") && line.contains("AllTargetsHealthy")),
    ] {
        site.kubernetes.kubectl(&["scale", "deployment/echo", "--replicas", replicas])?;
        let changed = sliced(site, replicas)?;
        slowest = slowest.max(shown(site, is_shown, changed)?);
    }
    figure("health_shown_s", format_args!("{:.2}", slowest.as_secs_f64()));
    ensure!(slowest <= SHOWN_WITHIN, "{slowest:?} from the slice to what kubectl shows");
    Ok(())
}

/// Waits until the slices of the Service have so many ready endpoints, and says when that was.
fn sliced(site: &Site, ready: &str) -> anyhow::Result<Instant> {
    let path = "jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].addresses[0]}";
    let slices = ["get", "endpointslices", "--selector", "kubernetes.io/service-name=echo", "-o", path];
    let is_so = |addresses: &str| addresses.split_whitespace().count().to_string() == ready;
    site.kubernetes.until(Duration::from_secs(60), &slices, is_so)?;
    Ok(Instant::now())
}

/// How long after `since` the line of the Backend is so.
fn shown(site: &Site, is_shown: impl Fn(&str) -> bool, since: Instant) -> anyhow::Result<Duration> {
    let line = ["get", "backends.komainu.dev", "hello", "--no-headers"];
    site.kubernetes.until(Duration::from_secs(30), &line, is_shown)?;
    Ok(since.elapsed())
}
