use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Cluster;

/// Lets a request pass if it shows the client id and secret.
pub(super) async fn require(State(cluster): State<Arc<Cluster>>, request: Request, next: Next) -> Response {
    if cluster.credentials.are_in(request.headers()) {
        return next.run(request).await;
    }
    cluster.counters.unauthorized();
    let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"komainu\"")];
    (StatusCode::UNAUTHORIZED, challenge, "wrong client id or secret\n").into_response()
}
