use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use operator_core::session::Identity;

/// The longest id, name or version of a worker, in bytes: that of a DNS name.
pub(super) const MAX_LENGTH: usize = 253;

/// Who is asking, from `Komainu-Worker-Id`, `-Name` and `-Version`.
pub(super) struct Worker(pub(super) Identity);

impl<S: Sync> FromRequestParts<S> for Worker {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let text = |name| text(&parts.headers, name);
        let id = text("komainu-worker-id")?;
        let name = text("komainu-worker-name")?;
        let version = text("komainu-worker-version")?;
        Ok(Self(Identity { id, name, version }))
    }
}

#[expect(clippy::result_large_err, reason = "a rejected request is rare and the response is moved once")]
fn text(headers: &HeaderMap, name: &'static str) -> Result<String, Response> {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if is_good(value) {
        Ok(value.to_owned())
    } else {
        let sentence = format!("header {name} must have 1 to {MAX_LENGTH} visible characters\n");
        Err((StatusCode::BAD_REQUEST, sentence).into_response())
    }
}

/// What may become an id or a name in lists, logs and metrics.
pub(super) fn is_good(value: &str) -> bool {
    (1..=MAX_LENGTH).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic())
}
