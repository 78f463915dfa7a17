use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use dataplane_snapshot::Key;
use dataplane_snapshot::wire::UsagePush;
use operator_core::session::{Identity, Role};
use operator_core::usage::PushError;
use prost::Message as _;

use super::Cluster;
use super::authenticate::Allowed;
use super::poll::not_now;
use super::worker_headers::{Worker, is_good};
use crate::usage::UsageError;

/// `POST /api/cluster/usage`: what a worker has counted; the answer is what all of them have. A leader may hand on what its
/// workers say.
pub(super) async fn push(
    State(cluster): State<Arc<Cluster>>,
    Worker(sender): Worker,
    Extension(allowed): Extension<Allowed>,
    body: Bytes,
) -> Response {
    let Some(usage) = cluster.usage.clone() else { return StatusCode::NOT_FOUND.into_response() };
    if let Err(reason) = cluster.open(&sender.scope).await {
        return not_now(&cluster, &reason.into());
    }
    let push = match UsagePush::decode(body) {
        Ok(push) => push,
        Err(error) => return refused(&cluster, &UsageError::Push(PushError::Malformed(error))),
    };
    let Some(worker) = cluster.counting(&sender, &allowed, &push) else {
        return (StatusCode::FORBIDDEN, "who counted isn't who sends it\n").into_response();
    };
    let part = cluster.current(&sender.scope);
    let may = |key: &Key| sender.scope.is_all() || part.as_ref().is_some_and(|part| part.has(key));
    let workers = cluster.counted(None).iter().filter(|worker| !worker.lost).count();
    match usage.take(&worker, push, may, u32::try_from(workers).unwrap_or(u32::MAX)).await {
        Ok(answer) => answer.encode_to_vec().into_response(),
        Err(error) => refused(&cluster, &error),
    }
}

fn refused(cluster: &Cluster, error: &UsageError) -> Response {
    let status = match error {
        UsageError::Push(_) => {
            cluster.counters.refused();
            StatusCode::BAD_REQUEST
        }
        UsageError::Store(_) | UsageError::Leader { .. } => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{error}\n")).into_response()
}

impl Cluster {
    /// The id of the process that counted. `None`: nobody may speak for it.
    fn counting(&self, sender: &Identity, allowed: &Allowed, push: &UsagePush) -> Option<String> {
        if let Some(member) = push.member.as_ref().filter(|member| member.id != sender.id) {
            let is_leader = allowed.bearer.as_ref().is_none_or(|bearer| bearer.role == Role::Leader);
            let may = is_leader && allowed.scope.is_all() && is_good(&member.id);
            return may.then(|| member.id.clone());
        }
        // One that ends tells its last counts when it is no member any more.
        let sessions = self.lock();
        let known = sessions.session.members().identity_of(&sender.id);
        let is_other = known.is_some_and(|known| known.client != sender.client || known.pod != sender.pod);
        (!is_other).then(|| sender.id.clone())
    }
}
