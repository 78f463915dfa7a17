use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use dataplane_snapshot::{Root, Scope};
use operator_core::session::{Event, Identity, PollId, Reach, Reply};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;

use super::Cluster;
use super::body::body;
use super::changes::Change;
use super::coding::Coding;
use super::reach::Reached;
use super::state::Current;
use super::states::NotOpen;
use super::worker_headers::Worker;

/// How long a worker waits in line for a whole state, or a large change, before it is asked to come back: less than the 2 s after which it gives
/// up by default.
const LONGEST_LINE: Duration = Duration::from_secs(1);

/// When a worker that can't be served now should come back, in seconds.
const RETRY_AFTER: &str = "1";

/// The root of what a worker has and could change into the current state.
const BASE: &str = "komainu-base";

/// In answers to workers that have a part of the state: the text of the scope that it is the part of. A leader that doesn't know
/// scopes doesn't say it.
const SCOPE: &str = "komainu-scope";

/// What becomes of a request in the end.
type Answer = Result<Response, Later>;

/// Why a worker is to come back.
pub(super) struct Later(&'static str);

impl From<NotOpen> for Later {
    fn from(reason: NotOpen) -> Self {
        match reason {
            NotOpen::NoState => NO_STATE,
            NotOpen::TooMany => TOO_MANY_SCOPES,
        }
    }
}

const NO_STATE: Later =
    Later("there is no state yet, there are too many workers, or another client has one with this id\n");
const STOPPING: Later = Later("this leader is stopping\n");
const TOO_MANY_SCOPES: Later = Later(
    "workers with too many different selectors follow this leader: give some of them the same, as cluster.worker.selector\n",
);

/// `GET /api/cluster/state`: the current state, or 304 after the hold if the worker has it already. If the worker says by
/// [`BASE`] what it has, it is what changes that, or 409 if that isn't remembered: then it posts a manifest.
pub(super) async fn state(
    State(cluster): State<Arc<Cluster>>,
    Worker(member): Worker,
    Reached(reach): Reached,
    headers: HeaderMap,
) -> Response {
    let scope = member.scope.clone();
    let answer = async {
        cluster.open(&scope).await?;
        let known = headers.get(header::IF_NONE_MATCH).and_then(root_in);
        let known = known.map(|root| cluster.session_root(root, &scope, reach));
        let reply = ask(&cluster, member, known, hold(&headers)).await?;
        let current = cluster.current(&scope).ok_or(NO_STATE)?;
        if reply == Reply::NotModified {
            cluster.counters.not_modified();
            // RFC 9110, 15.4.5: with the ETag that a 200 would have had.
            let root = current.offer().snapshot(reach).root().entity_tag();
            return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, root)]).into_response());
        }
        let coding = cluster.compression.choose(&headers);
        if let Some(base) = headers.get(BASE).and_then(root_in) {
            return changed(&cluster, &current, reach, base, coding).await;
        }
        let permit = stand_in_line(&cluster).await?;
        let state = current.encoded(reach, coding).await.ok_or(STOPPING)?;
        cluster.counters.state(state.bytes.len());
        Ok(cluster.send(&current, reach, state.coding, body(state.bytes, permit)))
    };
    answer.await.map_or_else(|later| not_now(&cluster, &later), |answer| of_scope(answer, &scope))
}

/// What changes the state with root `base`; a large one in turn, as a whole state.
async fn changed(
    cluster: &Cluster,
    current: &Arc<Current>,
    reach: Reach,
    base: Root,
    coding: Coding,
) -> Answer {
    let (coding, length, body) = match current.change(reach, base, coding) {
        None => {
            let sentence = "what this worker has isn't known here: post a manifest\n";
            return Ok((StatusCode::CONFLICT, sentence).into_response());
        }
        Some(Change::Small(change)) => (change.coding, change.bytes.len(), change.bytes.into()),
        Some(Change::Large(cell)) => {
            let permit = stand_in_line(cluster).await?;
            let change = current.clone().large_change(&cell, reach, base, coding).await.ok_or(STOPPING)?;
            (change.coding, change.bytes.len(), body(change.bytes, permit))
        }
    };
    cluster.counters.change(length);
    Ok(cluster.send(current, reach, coding, body))
}

/// `POST /api/cluster/state`: a worker says by a manifest what it has, and gets what turns that into the current state.
pub(super) async fn difference(
    State(cluster): State<Arc<Cluster>>,
    Worker(member): Worker,
    Reached(reach): Reached,
    headers: HeaderMap,
    manifest: Bytes,
) -> Response {
    let Some(base) = headers.get(BASE).and_then(root_in) else {
        cluster.counters.refused();
        let sentence = format!("header {BASE} must be the root of what the manifest tells of\n");
        return (StatusCode::BAD_REQUEST, sentence).into_response();
    };
    let scope = member.scope.clone();
    let answer: Answer = async {
        cluster.open(&scope).await?;
        ask(&cluster, member, None, Duration::ZERO).await?;
        let permit = stand_in_line(&cluster).await?;
        let current = cluster.current(&scope).ok_or(NO_STATE)?;
        let coding = cluster.compression.choose(&headers);
        let change = current.clone().difference(reach, base, manifest, coding).await.ok_or(STOPPING)?;
        cluster.counters.manifest(change.bytes.len());
        Ok(cluster.send(&current, reach, change.coding, body(change.bytes, permit)))
    }
    .await;
    answer.map_or_else(|later| not_now(&cluster, &later), |answer| of_scope(answer, &scope))
}

fn of_scope(mut answer: Response, scope: &Scope) -> Response {
    if !scope.is_all() {
        let text = HeaderValue::try_from(scope.to_string());
        answer.headers_mut().extend(text.map(|text| (HeaderName::from_static(SCOPE), text)));
    }
    answer
}

/// Asks the session, and waits for as long as it holds the poll.
async fn ask(
    cluster: &Cluster,
    member: Identity,
    known: Option<Root>,
    hold: Duration,
) -> Result<Reply, Later> {
    let poll = cluster.next_poll();
    let (sender, reply) = oneshot::channel();
    cluster.lock().waiting.insert(poll, sender);
    let pending = Pending { cluster, poll };
    cluster.handle(Event::Poll { poll, member, known, hold });
    let reply = reply.await;
    drop(pending);
    match reply {
        Ok(Reply::NotNow) => Err(NO_STATE),
        Ok(reply) => Ok(reply),
        Err(_) => Err(STOPPING),
    }
}

async fn stand_in_line(cluster: &Cluster) -> Result<OwnedSemaphorePermit, Later> {
    let permit = timeout(LONGEST_LINE, cluster.full_sends.clone().acquire_owned()).await;
    permit.ok().and_then(Result::ok).ok_or(Later("too many workers fetch the state at this moment\n"))
}

impl Cluster {
    fn send(&self, current: &Current, reach: Reach, coding: Coding, body: Body) -> Response {
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(
            header::VARY,
            HeaderValue::from_static(
                "accept-encoding, komainu-base, komainu-worker-call, komainu-worker-scope",
            ),
        );
        headers.extend(
            HeaderValue::try_from(current.offer().snapshot(reach).root().entity_tag())
                .map(|root| (header::ETAG, root)),
        );
        headers.extend(
            coding.as_str().map(|coding| (header::CONTENT_ENCODING, HeaderValue::from_static(coding))),
        );
        headers.extend(self.name.clone().map(|name| (HeaderName::from_static("komainu-leader-name"), name)));
        response
    }
}

pub(super) fn not_now(cluster: &Cluster, Later(sentence): &Later) -> Response {
    cluster.counters.not_now();
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER)], *sentence).into_response()
}

/// Tells the session when the worker's connection is gone before the answer.
struct Pending<'c> {
    cluster: &'c Cluster,
    poll: PollId,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let answered = self.cluster.lock().waiting.remove(&self.poll).is_none();
        if !answered {
            self.cluster.handle(Event::Cancelled { poll: self.poll });
        }
    }
}

/// A root as an entity tag. What isn't a root of ours is no root that we know: the worker gets the state.
fn root_in(value: &HeaderValue) -> Option<Root> {
    Root::from_entity_tag(value.to_str().ok()?)
}

/// `Prefer: wait=10` (RFC 7240, 4.3), in seconds; none: the answer comes at once.
fn hold(headers: &HeaderMap) -> Duration {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let seconds = preferences
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| preference.trim().strip_prefix("wait=")?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn reads_the_known_root() {
        let root = Root([0xab; 32]);
        assert_eq!(root_in(&root.entity_tag().parse().unwrap()), Some(root));
        for other in ["", "*", "\"", "\"ab\"", "W/\"abab\"", &"ab".repeat(32)] {
            assert_eq!(root_in(&other.parse().unwrap()), None, "{other}");
        }
    }

    #[test]
    fn reads_the_hold() {
        for (value, seconds) in [("wait=25", 25), ("respond-async, wait=10", 10), ("wait=x", 0), ("", 0)] {
            assert_eq!(hold(&headers("prefer", value)), Duration::from_secs(seconds), "{value}");
        }
        assert_eq!(hold(&HeaderMap::new()), Duration::ZERO);
    }
}
