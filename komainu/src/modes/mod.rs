//! How the parts are put together in each mode.

mod control_plane;
mod data_plane;
mod listen;
mod problems;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::observe::{self, Allocations, Look};
use crate::settings::{Mode, Settings};
use crate::{credentials, shutdown};

/// Threads of everything but traffic: sources, planning, cluster endpoints, admin API. Traffic has threads of its own.
const CONTROL_THREADS: usize = 2;

/// How long the admin port's open requests may take to end. Held polls are ended at once.
const ADMIN_STOP: Duration = Duration::from_secs(2);

pub(crate) fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(CONTROL_THREADS).enable_all().build()?;
    let code = runtime.block_on(serve(settings));
    // Blocking work, as a plan that nobody waits for any more, must not keep the process.
    runtime.shutdown_timeout(ADMIN_STOP);
    code
}

async fn serve(settings: Settings) -> anyhow::Result<ExitCode> {
    let stop = shutdown::on_signal()?;
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
    let port = listen::bind(settings).await?;
    let control = control_plane::start(settings, &credentials, &mut registry, stop.clone()).await?;
    let look = control.look(stop.clone());
    port.serve(control.router.merge(observe::router(registry, look)), stop).await
}

async fn worker(
    settings: &Settings,
    mut registry: Registry,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<ExitCode> {
    let credentials = credentials::for_worker(&settings.cluster.leader)?;
    let port = listen::bind(settings).await?;
    let data = data_plane::DataPlane::start(settings, &mut registry)?;
    let look = data.follow_leaders(settings, &credentials, stop.clone())?;
    let admin = tokio::spawn(port.serve(observe::router(registry, look), stop.clone()));
    shutdown::asked(stop).await;
    data.drain(settings).await;
    admin.await?
}

async fn standalone(
    settings: &Settings,
    mut registry: Registry,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<ExitCode> {
    let credentials = credentials::for_leader(&settings.cluster.leader, &settings.data_directory)?;
    let port = listen::bind(settings).await?;
    let data = data_plane::DataPlane::start(settings, &mut registry)?;
    let control = control_plane::start(settings, &credentials, &mut registry, stop.clone()).await?;
    let look_at_data = data.follow_local(settings, &control)?;
    let look: Look = join(control.look(stop.clone()), look_at_data);
    let router = control.router.clone().merge(observe::router(registry, look));
    let admin = tokio::spawn(port.serve(router, stop.clone()));
    shutdown::asked(stop).await;
    data.drain(settings).await;
    admin.await?
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
