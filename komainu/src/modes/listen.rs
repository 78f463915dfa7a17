//! The admin port.

use anyhow::Context as _;
use axum::Router;
use operator_server::cluster::Ends;
use operator_server::port::{PortTls, TlsListener};
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
    pub(super) async fn serve(self, router: Router, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let service = router.into_make_service_with_connect_info::<Ends>();
        let asked = shutdown::asked(stop.clone());
        let late = async {
            shutdown::asked(stop).await;
            tokio::time::sleep(ADMIN_STOP).await;
        };
        let serving = async {
            match self.tls {
                None => axum::serve(self.listener, service).with_graceful_shutdown(asked).await,
                Some(tls) => {
                    let listener = TlsListener::new(self.listener, tls);
                    axum::serve(listener, service).with_graceful_shutdown(asked).await
                }
            }
        };
        tokio::select! {
            served = serving => served?,
            () = late => {}
        }
        Ok(())
    }
}
