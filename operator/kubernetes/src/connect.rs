use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::ConnectError;

/// An API server that doesn't take a connection within this time counts as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes aws-lc-rs the cryptography of every TLS connection of this process. To be called once, before [`connect`]; what
/// was installed earlier stays.
pub fn install_crypto_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A client for the API server of `kubeconfig`; without one that of `KUBECONFIG` or `~/.kube/config`, else that of the
/// cluster which this process runs in. It doesn't connect yet, so a server that is away is no error.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<Client, ConnectError> {
    let mut config = match kubeconfig {
        Some(path) => read(path).await?,
        None => Config::infer().await.map_err(|error| ConnectError::NotConfigured(error.to_string()))?,
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // Each loop backs off by itself and says why; hidden retries of up to 1,000 s would keep it silent.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| ConnectError::Unusable(error.to_string()))
}

async fn read(path: &Path) -> Result<Config, ConnectError> {
    let failed = |error: kube::config::KubeconfigError| ConnectError::Kubeconfig {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(failed)
}
