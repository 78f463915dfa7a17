//! How the parts are put together in each mode.

pub(crate) mod certificates;
mod control_plane;
mod data_plane;
mod kubernetes;
mod listen;
mod listeners;
mod memory;
mod names;
mod node;
mod problems;
mod relay;
mod stores;
mod whereabouts;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use dataplane_proxy::worker::is_loopback;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

pub(crate) use stores::STORE_FILE;

use crate::observe::{self, Allocations, Look};
use crate::settings::{Mode, Settings};
use crate::{credentials, shutdown};

/// Threads of everything but traffic: sources, planning, cluster endpoints, admin API. Traffic has threads of its own.
const CONTROL_THREADS: usize = 2;

/// How long the admin port's open requests may take to end. Held polls are ended at once.
const ADMIN_STOP: Duration = Duration::from_secs(2);

/// The exit code if open requests had to be cut at the end of `proxy.drainTimeout`.
const CUT: u8 = 3;

/// Runs until a signal asks for a stop.
pub(crate) fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    on_runtime(async { serve(settings, shutdown::on_signal()?).await })
}

/// Runs until `stop` turns true.
#[cfg(test)]
pub(crate) fn run_until(settings: Settings, stop: watch::Receiver<bool>) -> anyhow::Result<ExitCode> {
    on_runtime(serve(settings, stop))
}

fn on_runtime(serving: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_keep_alive(memory::KEEP_ALIVE)
        .enable_all()
        .build()?;
    let code = runtime.block_on(serving);
    // Blocking work, as a plan that nobody waits for any more, must not keep the process.
    runtime.shutdown_timeout(ADMIN_STOP);
    code
}

async fn serve(settings: Settings, stop: watch::Receiver<bool>) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(&settings.data_directory).with_context(|| {
        format!("setting dataDirectory: can't create {}", settings.data_directory.display())
    })?;
    let mut registry = Registry::with_prefix("komainu");
    registry.register_collector(Box::new(Allocations));
    let mode = settings.cluster.mode;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), ?mode, "komainu starts");
    match mode {
        Mode::Off => standalone(&settings, registry, stop).await,
        Mode::Leader => leader(&settings, registry, stop).await,
        Mode::Worker => worker(&settings, registry, stop).await,
    }
}

async fn leader(
    settings: &Settings,
    mut registry: Registry,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<ExitCode> {
    let credentials = credentials::for_leader(&settings.cluster.leader, &settings.data_directory)?;
    credentials::refuse_known(&credentials, is_loopback(&settings.admin.address))?;
    let port = listen::bind(settings).await?;
    let control = control_plane::start(settings, &credentials, &mut registry, stop.clone()).await?;
    let look = control.look(stop.clone());
    port.serve(control.router.clone().merge(observe::router(registry, look)), stop).await;
    control.end().await;
    Ok(ExitCode::SUCCESS)
}

async fn worker(
    settings: &Settings,
    mut registry: Registry,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        settings.resources.is_none() && !settings.kubernetes.enabled,
        "a worker takes its resources from a leader: remove the settings resources and kubernetes.enabled"
    );
    let credentials = credentials::for_worker(&settings.cluster)?;
    let port = listen::bind(settings).await?;
    let data = data_plane::DataPlane::start(settings, &mut registry)?;
    data.say_ready(stop.clone());
    let look = data.follow_leaders(settings, &credentials, stop.clone())?;
    stop_in_order(settings, port, observe::router(registry, look), &data, stop).await
}

async fn standalone(
    settings: &Settings,
    mut registry: Registry,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<ExitCode> {
    let credentials = credentials::for_leader(&settings.cluster.leader, &settings.data_directory)?;
    credentials::refuse_known(&credentials, is_loopback(&settings.admin.address))?;
    let port = listen::bind(settings).await?;
    let data = data_plane::DataPlane::start(settings, &mut registry)?;
    let control = control_plane::start(settings, &credentials, &mut registry, stop.clone()).await?;
    data.say_ready(stop.clone());
    let look_at_data = data.follow_local(settings, &control)?;
    let look: Look = join(control.look(stop.clone()), look_at_data);
    let router = control.router.clone().merge(observe::router(registry, look));
    let code = stop_in_order(settings, port, router, &data, stop).await;
    control.end().await;
    code
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Serves until a stop is asked for; then: not ready, no new connections, open requests end, and the admin port goes last,
/// so that probes and scrapes see all of it.
async fn stop_in_order(
    settings: &Settings,
    port: listen::Port,
    router: axum::Router,
    data: &data_plane::DataPlane,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<ExitCode> {
    let (drained, end) = watch::channel(false);
    let admin = tokio::spawn(port.serve(router, end));
    shutdown::asked(stop).await;
    tokio::time::sleep(settings.proxy.drain_delay.duration()).await;
    let cut = data.drain(settings).await;
    drained.send_replace(true);
    admin.await?;
    Ok(if cut == 0 { ExitCode::SUCCESS } else { ExitCode::from(CUT) })
}

/// Ready when both are; the details of both.
fn join(first: Look, second: Look) -> Look {
    Arc::new(move || {
        let (mut first, second) = (first(), second());
        first.ready &= second.ready;
        first.reason = first.reason.or(second.reason);
        first.details.extend(second.details);
        first
    })
}
