use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use dataplane_snapshot::Scope;

use super::{Cluster, Ends};

/// The most that whoever makes a request may have: in its extensions.
#[derive(Clone, Debug, Default)]
pub(super) struct Allowed {
    pub(super) scope: Scope,
    /// Which of the clients that may have a part only it is; `None`: it may have everything.
    pub(super) client: Option<usize>,
}

/// What a client without a certificate is told.
const UNCERTIFIED: &str = "this leader knows workers by their certificates: show one that is signed by an authority of its \
                           setting admin.tls.clientAuthorities\n";

/// What a client whose workers may have a part only is told, that asks about everybody.
const LIMITED: &str =
    "this client id is for workers that have a part of the state: ask with that of cluster.leader.clientId\n";

/// Where anybody's workers are told of.
const OF_ALL: [&str; 2] = ["/api/cluster/members", "/api/cluster/health"];

/// Lets a request pass if it shows a client id and its secret; where workers are known by their certificates, if its connection
/// shows one; both where there are clients that may have a part only, which couldn't be told by a certificate.
pub(super) async fn require(
    State(cluster): State<Arc<Cluster>>,
    mut request: Request,
    next: Next,
) -> Response {
    let is_certified = !cluster.client_certificates || Ends::are_certified(request.extensions());
    let allowed = if cluster.client_certificates && cluster.clients.is_empty() {
        Some(Allowed::default())
    } else {
        cluster.allowed(request.headers())
    };
    if let Some(allowed) = allowed.filter(|_| is_certified) {
        if !allowed.scope.is_all() && OF_ALL.contains(&request.uri().path()) {
            return (StatusCode::FORBIDDEN, LIMITED).into_response();
        }
        request.extensions_mut().insert(allowed);
        return next.run(request).await;
    }
    cluster.counters.unauthorized();
    if !is_certified {
        return (StatusCode::FORBIDDEN, UNCERTIFIED).into_response();
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"komainu\"")];
    (StatusCode::UNAUTHORIZED, challenge, "wrong client id or secret\n").into_response()
}

impl Cluster {
    /// What whoever sent these may have. `None`: they hold no good credentials.
    fn allowed(&self, headers: &HeaderMap) -> Option<Allowed> {
        if self.credentials.are_in(headers) {
            return Some(Allowed::default());
        }
        let mut clients = self.clients.iter().enumerate();
        clients
            .find(|(_, client)| client.credentials.are_in(headers))
            .map(|(number, client)| Allowed { scope: client.scope.clone(), client: Some(number) })
    }
}
