use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use dataplane_snapshot::Scope;
use operator_core::session::Identity;

use super::Cluster;
use super::authenticate::Allowed;

/// The longest id, name or version of a worker, in bytes: that of a DNS name.
pub(super) const MAX_LENGTH: usize = 253;

pub(super) const ID: &str = "komainu-worker-id";

/// The header with the text of what a worker selects; without it everything that it may have.
const SCOPE: &str = "komainu-worker-scope";

/// Who is asking, from `Komainu-Worker-Id`, `-Name` and `-Version`, for what of that which it may have, from [`SCOPE`].
pub(super) struct Worker(pub(super) Identity);

impl FromRequestParts<Arc<Cluster>> for Worker {
    type Rejection = (StatusCode, String);

    async fn from_request_parts(parts: &mut Parts, cluster: &Arc<Cluster>) -> Result<Self, Self::Rejection> {
        // Without a word on it nothing is allowed: every request has come through the authentication.
        let allowed = parts.extensions.get().cloned().ok_or((StatusCode::FORBIDDEN, String::new()))?;
        identity(&parts.headers, &allowed).map(Self).map_err(|sentence| {
            cluster.counters.refused();
            (StatusCode::BAD_REQUEST, sentence)
        })
    }
}

/// `Err` is a sentence.
fn identity(headers: &HeaderMap, allowed: &Allowed) -> Result<Identity, String> {
    let text = |name| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        let bad = || format!("header {name} must have 1 to {MAX_LENGTH} visible characters\n");
        value.filter(|value| is_good(value)).map(str::to_owned).ok_or_else(bad)
    };
    let asked: Scope = match headers.get(SCOPE) {
        None => Scope::default(),
        Some(value) => {
            let value = value.to_str().map_err(|_| format!("header {SCOPE} must be visible characters\n"))?;
            value.parse().map_err(|error| format!("header {SCOPE}: {error}\n"))?
        }
    };
    let scope = allowed.scope.narrow(&asked).bounded();
    Ok(Identity {
        scope: scope
            .map_err(|error| format!("header {SCOPE}, within what this client may have: {error}\n"))?,
        client: allowed.client,
        pod: allowed.pod().map(str::to_owned),
        id: text(ID)?,
        name: text("komainu-worker-name")?,
        version: text("komainu-worker-version")?,
    })
}

/// What may become an id or a name in lists, logs and metrics.
pub(super) fn is_good(value: &str) -> bool {
    (1..=MAX_LENGTH).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic())
}
