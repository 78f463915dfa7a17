use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::process::figure;

use crate::site::Site;

/// From the change of the EndpointSlice to what `kubectl get backends` shows, on a machine that may be busy. The figure is judged by
/// the 2 s that it should take, where nothing else runs.
const SHOWN_WITHIN: Duration = Duration::from_secs(8);

pub(crate) fn health_follows_a_deployment_to_nothing_and_back(site: &Site) -> anyhow::Result<()> {
    shown(site, |line| line.contains("2/2") && line.contains("AllTargetsHealthy"), Instant::now())?;
    let mut slowest = Duration::ZERO;
    for (replicas, is_shown) in [
        (0, (|line: &str| line.contains("0/0") && line.contains("NoHealthyTargets")) as fn(&str) -> bool),
        (2, |line| line.contains("2/2") && line.contains("AllTargetsHealthy")),
    ] {
        site.kubernetes.kubectl(&["scale", "deployment/echo", "--replicas", &replicas.to_string()])?;
        let changed = sliced(site, replicas)?;
        slowest = slowest.max(shown(site, is_shown, changed)?);
    }
    figure("health_shown_s", format_args!("{:.2}", slowest.as_secs_f64()));
    ensure!(slowest <= SHOWN_WITHIN, "{slowest:?} from the slice to what kubectl shows");
    Ok(())
}

/// Waits until the slices of the Service have so many endpoints that serve, and says when that was. While all of them end, those
/// that serve yet are used.
fn sliced(site: &Site, serving: usize) -> anyhow::Result<Instant> {
    let begun = Instant::now();
    loop {
        let list =
            site.kubernetes.get(&["endpointslices", "--selector", "kubernetes.io/service-name=echo"])?;
        // A slice without endpoints says null.
        let slices = list["items"].as_array().into_iter().flatten();
        let endpoints = slices.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
        let count = endpoints.filter(|endpoint| endpoint["conditions"]["serving"] == true).count();
        if count == serving {
            return Ok(Instant::now());
        }
        ensure!(begun.elapsed() < Duration::from_secs(60), "{count} endpoints serve, and not {serving}");
    }
}

/// How long after `since` the line of the Backend is so.
fn shown(site: &Site, is_shown: impl Fn(&str) -> bool, since: Instant) -> anyhow::Result<Duration> {
    let line = ["get", "backends.komainu.dev", "hello", "--no-headers"];
    site.kubernetes.until(Duration::from_secs(30), &line, is_shown)?;
    Ok(since.elapsed())
}
