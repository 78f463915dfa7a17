use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};

use super::client::Client;
use super::{LeaderUrl, WorkerError, WorkerSettings};

/// Why a leader has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error(transparent)]
    Settings(#[from] WorkerError),
    #[error("{0}")]
    Leader(String),
}

/// One request to a leader's API, by the way and with the credentials of a worker with these settings, which doesn't become a
/// member by it. Gives the status and the whole body.
pub async fn ask(
    settings: WorkerSettings,
    url: &LeaderUrl,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<(StatusCode, Bytes), AskError> {
    let name = settings.name.clone();
    let client = Client::new(Arc::new(settings), "asks".to_owned()).ok_or(WorkerError::Name(name))?;
    client.call(url, method, path, body).await.map_err(|failure| AskError::Leader(failure.to_string()))
}
