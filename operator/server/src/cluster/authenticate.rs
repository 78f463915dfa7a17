use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use dataplane_snapshot::Scope;
use operator_core::session::{Bearer, Place, Role};

use super::{Cluster, Ends};

/// The most that whoever makes a request may have: in its extensions.
#[derive(Clone, Debug, Default)]
pub(super) struct Allowed {
    pub(super) scope: Scope,
    /// Which of the clients that may have a part only it is; `None`: it may have everything.
    pub(super) client: Option<usize>,
    /// By whose token it is known, if by one.
    pub(super) bearer: Option<Bearer>,
}

impl Allowed {
    /// Whose worker it is, if it is known by the token of a pod.
    pub(super) fn pod(&self) -> Option<&str> {
        let worker = self.bearer.as_ref().filter(|bearer| bearer.role == Role::Worker);
        worker.map(|bearer| &*bearer.pod).filter(|pod| !pod.is_empty())
    }

    /// On which node that worker is, if the token tells.
    fn node(&self) -> Option<&str> {
        let worker = self.bearer.as_ref().filter(|bearer| bearer.role == Role::Worker);
        worker.map(|bearer| &*bearer.node).filter(|node| !node.is_empty())
    }

    /// Whether it may ask about workers other than its own.
    pub(super) fn is_about_all(&self) -> bool {
        self.scope.is_all() && self.bearer.as_ref().is_none_or(|bearer| bearer.role == Role::Leader)
    }
}

/// What a client without a certificate is told.
const UNCERTIFIED: &str = "this leader knows workers by their certificates: show one that is signed by an authority of its \
                           setting admin.tls.clientAuthorities\n";

/// What a client whose workers may have a part only is told, that asks about everybody.
const LIMITED: &str =
    "these credentials are for workers: ask with the client id of cluster.leader.clientId and its secret\n";

/// Where anybody's workers are told of.
const OF_ALL: [&str; 2] = ["/api/cluster/members", "/api/cluster/health"];

/// Lets a request pass if it shows a client id and its secret, or a token of a worker's or a leader's pod; where workers are known
/// by their certificates, if its connection shows one; both where there are clients that may have a part only, which couldn't be
/// told by a certificate.
pub(super) async fn require(
    State(cluster): State<Arc<Cluster>>,
    mut request: Request,
    next: Next,
) -> Response {
    let bearer = cluster.bearer(request.headers());
    let is_certified =
        bearer.is_some() || !cluster.client_certificates || Ends::are_certified(request.extensions());
    let allowed = if let Some(bearer) = bearer {
        Some(Allowed { bearer: Some(bearer), ..Allowed::default() })
    } else if cluster.client_certificates && cluster.clients.is_empty() {
        Some(Allowed::default())
    } else {
        cluster.allowed(request.headers())
    };
    if let Some(allowed) = allowed.filter(|_| is_certified) {
        if !allowed.is_about_all() && OF_ALL.contains(&request.uri().path()) {
            return (StatusCode::FORBIDDEN, LIMITED).into_response();
        }
        let node = allowed.node().map(str::to_owned);
        request.extensions_mut().insert(allowed);
        let mut answer = next.run(request).await;
        cluster.tell_place(node, answer.headers_mut()).await;
        return answer;
    }
    cluster.counters.unauthorized();
    if !is_certified {
        return (StatusCode::FORBIDDEN, UNCERTIFIED).into_response();
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"komainu\"")];
    (StatusCode::UNAUTHORIZED, challenge, "wrong client id or secret, or no token of a worker's pod\n")
        .into_response()
}

/// In answers to workers: where their node is.
const REGION: HeaderName = HeaderName::from_static("komainu-node-region");
const ZONE: HeaderName = HeaderName::from_static("komainu-node-zone");

impl Cluster {
    async fn tell_place(&self, node: Option<String>, headers: &mut HeaderMap) {
        let (Some(find), Some(node)) = (&self.find_place, node) else { return };
        let Some(Place { region, zone }) = find(node).await else { return };
        for (name, value) in [(REGION, region), (ZONE, zone)] {
            // Label values are ASCII, and may be empty.
            headers.extend(HeaderValue::try_from(value).map(|value| (name, value)));
        }
    }

    /// Whose token is in these headers (RFC 6750), if a good one is.
    fn bearer(&self, headers: &HeaderMap) -> Option<Bearer> {
        let read = self.tokens.as_ref()?;
        let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        match read(token.trim()) {
            Ok(bearer) => Some(bearer),
            Err(reason) => {
                tracing::debug!(reason, "a token isn't taken");
                None
            }
        }
    }

    /// What whoever sent these may have. `None`: they hold no good credentials.
    fn allowed(&self, headers: &HeaderMap) -> Option<Allowed> {
        if self.credentials.are_in(headers) {
            return Some(Allowed::default());
        }
        let mut clients = self.clients.iter().enumerate();
        clients.find(|(_, client)| client.credentials.are_in(headers)).map(|(number, client)| Allowed {
            scope: client.scope.clone(),
            client: Some(number),
            bearer: None,
        })
    }
}
