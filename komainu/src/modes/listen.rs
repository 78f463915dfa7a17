//! The admin port.

use anyhow::Context as _;
use axum::Router;
use operator_server::cluster::Ends;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::ADMIN_STOP;
use crate::settings::Settings;
use crate::shutdown;

pub(super) struct Port(TcpListener);

/// Binds before anything else starts, so that a port in use is the first thing that is said.
pub(super) async fn bind(settings: &Settings) -> anyhow::Result<Port> {
    let (address, port) = (settings.admin.address.as_str(), settings.admin_port());
    let listener = TcpListener::bind((address, port)).await.with_context(|| {
        format!("settings admin.address and admin.port: can't listen on {address} port {port}; choose another port")
    })?;
    tracing::info!(address = %listener.local_addr()?, "admin port");
    Ok(Port(listener))
}

impl Port {
    /// Serves until a stop was asked for and open requests have ended, or for a while after it.
    pub(super) async fn serve(self, router: Router, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let service = router.into_make_service_with_connect_info::<Ends>();
        let serving = axum::serve(self.0, service).with_graceful_shutdown(shutdown::asked(stop.clone()));
        let late = async {
            shutdown::asked(stop).await;
            tokio::time::sleep(ADMIN_STOP).await;
        };
        tokio::select! {
            served = async { serving.await } => served?,
            () = late => {}
        }
        Ok(())
    }
}
