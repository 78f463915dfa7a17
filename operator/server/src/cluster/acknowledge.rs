use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use dataplane_snapshot::{Root, wire};
use operator_core::programmed::Applied;
use operator_core::session::{Event, Identity};
use prost::Message as _;

use super::Cluster;
use super::poll::not_now;
use super::reach::Reached;
use super::worker_headers::{MAX_LENGTH, Worker, is_good};

/// The most sources that a state is as of.
const MAX_SOURCES: usize = 64;

/// Why an acknowledgement or a report isn't one.
#[derive(Debug, thiserror::Error)]
pub(super) enum AckError {
    #[error("not an ack message: {0}")]
    Malformed(#[from] prost::DecodeError),
    #[error("the root is {0} bytes long instead of 32")]
    RootLength(usize),
    #[error(transparent)]
    Report(#[from] operator_core::reports::ReportError),
    #[error("the member's id, name or version is empty, too long, or has characters that aren't visible")]
    Member,
    #[error(
        "its member has the id {told}, but the request comes from {sender} by its header komainu-worker-id: a worker speaks for itself"
    )]
    Other { told: String, sender: String },
    #[error(
        "its as-of must have at most {MAX_SOURCES} sources, with names and epochs of at most {MAX_LENGTH} bytes"
    )]
    AsOf,
}

/// `POST /api/cluster/ack`: what a worker has in service.
pub(super) async fn ack(
    State(cluster): State<Arc<Cluster>>,
    Worker(sender): Worker,
    Reached(reach): Reached,
    body: Bytes,
) -> Response {
    // Who isn't known to have a part would count for the objects of others.
    if let Err(reason) = cluster.open(&sender.scope).await {
        return not_now(&cluster, &reason.into());
    }
    match read(body, sender) {
        Ok((member, mut applied, refused)) => {
            cluster.counters.ack();
            applied.root = cluster.session_root(applied.root, &member.scope, reach);
            cluster.handle(Event::Ack { member, applied, refused });
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => {
            cluster.counters.refused();
            (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
        }
    }
}

/// Who says that it has what in service, and why it refused a whole state.
fn read(body: Bytes, sender: Identity) -> Result<(Identity, Applied, Option<String>), AckError> {
    let mut ack = wire::Ack::decode(body)?;
    let member = identity(ack.member.take(), sender)?;
    let (applied, refused) = applied_of(ack)?;
    Ok((member, applied, refused))
}

/// What somebody has in service, and why it refused a whole state.
pub(super) fn applied_of(ack: wire::Ack) -> Result<(Applied, Option<String>), AckError> {
    let root = Root::from_slice(&ack.root).ok_or(AckError::RootLength(ack.root.len()))?;
    let as_of = ack.as_of.unwrap_or_default();
    let mut sources = as_of.sources.iter();
    if sources.len() > MAX_SOURCES
        || !sources.all(|(name, of)| name.len().max(of.epoch_id.len()) <= MAX_LENGTH)
    {
        return Err(AckError::AsOf);
    }
    let as_of = wire::as_of_from_wire(as_of);
    // The rejection of no object in particular is the refusal of a whole state.
    let (whole, single): (Vec<_>, Vec<_>) = ack.rejected.into_iter().partition(|of| of.key.is_empty());
    let refused = whole.into_iter().next().map(|of| of.reason);
    // A key of a kind that this leader doesn't know isn't in its snapshot either.
    let rejected = single.into_iter().filter_map(|of| Some((of.key.parse().ok()?, of.reason))).collect();
    let applied = Applied { root, as_of, rejected, more_rejected: ack.more_rejected };
    Ok((applied, refused))
}

/// Who a message is of: as it says itself, and the sender, if that is one.
pub(super) fn identity(member: Option<wire::Member>, sender: Identity) -> Result<Identity, AckError> {
    let Some(wire::Member { id, name, version }) = member else { return Ok(sender) };
    if ![&id, &name, &version].into_iter().all(|text| is_good(text)) {
        return Err(AckError::Member);
    }
    if id != sender.id {
        return Err(AckError::Other { told: id, sender: sender.id });
    }
    Ok(Identity { name, version, ..sender })
}
