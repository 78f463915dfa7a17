use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use operator_core::reports::{Report, Taken};
use operator_core::session::{Event, Identity};

use super::Cluster;
use super::acknowledge::{AckError, identity};
use super::poll::not_now;
use super::reach::Peer;
use super::worker_headers::Worker;

/// `POST /api/cluster/report`: how a worker and its targets are. 409 if it tells what changed since something that isn't
/// known here: then it has to tell all.
pub(super) async fn report(
    State(cluster): State<Arc<Cluster>>,
    Worker(sender): Worker,
    Peer(from): Peer,
    body: Bytes,
) -> Response {
    // Who isn't known to have a part would count for the objects of others.
    if let Err(reason) = cluster.open(&sender.scope).await {
        return not_now(&cluster, &reason.into());
    }
    let id = sender.id.clone();
    match read(&body, sender) {
        Ok((member, report)) => match cluster.take(member, Report { from, ..report }) {
            Some(Taken::Taken | Taken::Late) => {
                cluster.relay_report(&id, &body);
                StatusCode::NO_CONTENT.into_response()
            }
            Some(Taken::Gap) => {
                (StatusCode::CONFLICT, "the report before isn't known here: tell all\n").into_response()
            }
            None => (
                StatusCode::SERVICE_UNAVAILABLE,
                "there are too many workers, or another client has one with this id\n",
            )
                .into_response(),
        },
        Err(error) => {
            cluster.counters.refused();
            (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
        }
    }
}

fn read(body: &[u8], sender: Identity) -> Result<(Identity, Report), AckError> {
    let (report, member) = Report::read(body)?;
    Ok((identity(member, sender)?, report))
}

impl Cluster {
    /// What a worker says about itself and its targets; the one in this process says it here. `None` if there is no room
    /// for one more member, or another client has one with its id.
    pub fn take(&self, member: Identity, report: Report) -> Option<Taken> {
        let id = member.id.clone();
        self.handle(Event::Heard { member: member.clone() });
        let now = self.now();
        let mut sessions = self.lock();
        if !sessions.session.members().is(&member) {
            return None;
        }
        self.counters.report();
        let taken = sessions.reports.take(&id, report, now);
        self.tell_health(&sessions.reports);
        Some(taken)
    }
}
