//! The admin port.

use anyhow::Context as _;
use axum::Router;
use operator_server::port::{Bounds, PortTls, TlsListener, serve};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{ADMIN_STOP, certificates};
use crate::settings::Settings;
use crate::shutdown;

pub(super) struct Port {
    listener: TcpListener,
    tls: Option<watch::Receiver<PortTls>>,
}

/// Binds before anything else starts, so that a port in use is the first thing that is said.
pub(super) async fn bind(settings: &Settings) -> anyhow::Result<Port> {
    let (address, port) = (settings.admin.address.as_str(), settings.admin_port());
    let listener = TcpListener::bind((address, port)).await.with_context(|| {
        format!("settings admin.address and admin.port: can't listen on {address} port {port}; choose another port")
    })?;
    let tls = certificates::of_port(&settings.admin.tls)?;
    tracing::info!(address = %listener.local_addr()?, tls = tls.is_some(), "admin port");
    Ok(Port { listener, tls })
}

impl Port {
    /// Serves until a stop was asked for and open requests have ended, or for a while after it.
    pub(super) async fn serve(self, router: Router, stop: watch::Receiver<bool>) {
        let asked = shutdown::asked(stop.clone());
        let late = async {
            shutdown::asked(stop).await;
            tokio::time::sleep(ADMIN_STOP).await;
        };
        let bounds = Bounds::of(descriptors());
        let serving = async {
            match self.tls {
                None => serve(self.listener, router, bounds, asked).await,
                Some(tls) => serve(TlsListener::new(self.listener, tls), router, bounds, asked).await,
            }
        };
        tokio::select! {
            () = serving => {}
            () = late => {}
        }
    }
}

/// How many this process may have open, where the system tells.
fn descriptors() -> Option<usize> {
    soft_limit(&std::fs::read_to_string("/proc/self/limits").ok()?)
}

fn soft_limit(limits: &str) -> Option<usize> {
    let limits = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    limits.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_counts() {
        let limits =
            |files: &str| format!("Max processes 1 2 processes\nMax open files            {files} files\n");
        assert_eq!(soft_limit(&limits("1024                 4096")), Some(1024));
        assert_eq!(soft_limit(&limits("unlimited            unlimited")), None);
        assert_eq!(soft_limit(""), None);
        assert!(descriptors().is_some_and(|most| most > 0), "Linux tells");
    }
}
