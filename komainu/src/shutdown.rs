//! Stopping: the first signal asks for a graceful stop, the second ends the process at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The exit code after a second signal: 128 + SIGINT, as shells expect it.
const INTERRUPTED: i32 = 130;

/// Turns true at the first SIGINT or SIGTERM.
pub(crate) fn on_signal() -> anyhow::Result<watch::Receiver<bool>> {
    let (asked, stop) = watch::channel(false);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked.send_replace(true) {
                std::process::exit(INTERRUPTED);
            }
            tracing::info!("stopping; a second signal ends at once");
        }
    });
    Ok(stop)
}

/// Resolves when a stop was asked for.
pub(crate) async fn asked(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone, which only happens when the process ends.
    let _ = stop.wait_for(|asked| *asked).await;
}
