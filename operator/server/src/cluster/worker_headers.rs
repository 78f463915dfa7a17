use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use operator_core::session::Identity;

use super::Cluster;

/// The longest id, name or version of a worker, in bytes: that of a DNS name.
const MAX_LENGTH: usize = 253;

/// Who is asking, from `Komainu-Worker-Id`, `-Name` and `-Version`.
pub(super) struct Worker(pub(super) Identity);

impl FromRequestParts<Arc<Cluster>> for Worker {
    type Rejection = (StatusCode, String);

    async fn from_request_parts(parts: &mut Parts, cluster: &Arc<Cluster>) -> Result<Self, Self::Rejection> {
        identity(&parts.headers).map(Self).map_err(|name| {
            cluster.counters.refused();
            let sentence = format!("header {name} must have 1 to {MAX_LENGTH} visible characters\n");
            (StatusCode::BAD_REQUEST, sentence)
        })
    }
}

/// `Err` is the name of the bad header.
fn identity(headers: &HeaderMap) -> Result<Identity, &'static str> {
    let text = |name| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.filter(|value| is_good(value)).map(str::to_owned).ok_or(name)
    };
    Ok(Identity {
        id: text("komainu-worker-id")?,
        name: text("komainu-worker-name")?,
        version: text("komainu-worker-version")?,
    })
}

/// What may become an id or a name in lists, logs and metrics.
pub(super) fn is_good(value: &str) -> bool {
    (1..=MAX_LENGTH).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic())
}
