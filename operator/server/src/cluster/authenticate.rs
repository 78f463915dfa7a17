use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::{Cluster, Ends};

/// What a client without a certificate is told.
const UNCERTIFIED: &str = "this leader knows workers by their certificates: show one that is signed by an authority of its \
                           setting admin.tls.clientAuthorities\n";

/// Lets a request pass if it shows the client id and secret; where workers are known by their certificates, if its connection
/// shows one.
pub(super) async fn require(State(cluster): State<Arc<Cluster>>, request: Request, next: Next) -> Response {
    let is_known = if cluster.client_certificates {
        Ends::are_certified(request.extensions())
    } else {
        cluster.credentials.are_in(request.headers())
    };
    if is_known {
        return next.run(request).await;
    }
    cluster.counters.unauthorized();
    if cluster.client_certificates {
        return (StatusCode::FORBIDDEN, UNCERTIFIED).into_response();
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"komainu\"")];
    (StatusCode::UNAUTHORIZED, challenge, "wrong client id or secret\n").into_response()
}
