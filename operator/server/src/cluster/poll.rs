use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use dataplane_snapshot::Root;
use operator_core::session::{Event, PollId, Reply};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Cluster;
use super::reach::Reach;
use super::state::body;
use super::worker_headers::Worker;

/// How long a worker waits in line for a whole state before it is asked to come back.
const LONGEST_LINE: Duration = Duration::from_secs(10);

/// When a worker that can't be served now should come back, in seconds.
const RETRY_AFTER: &str = "1";

/// `GET /api/cluster/state`: the current state, or 304 after the hold if the worker has it already.
pub(super) async fn state(
    State(cluster): State<Arc<Cluster>>,
    Worker(member): Worker,
    reach: Reach,
    headers: HeaderMap,
) -> Response {
    let known = known_root(&headers).map(|root| cluster.whole(root));
    let poll = cluster.next_poll();
    let (sender, reply) = oneshot::channel();
    cluster.lock().waiting.insert(poll, sender);
    let pending = Pending { cluster: &cluster, poll };
    cluster.handle(Event::Poll { poll, member, known, hold: hold(&headers) });
    let reply = reply.await;
    drop(pending);
    match reply {
        Ok(Reply::State) => send_state(&cluster, reach).await,
        Ok(Reply::NotModified) => {
            cluster.counters.not_modified();
            // RFC 9110, 15.4.5: with the ETag that a 200 would have had.
            let current = cluster.current.borrow().clone();
            let root = current.map(|current| etag(current.state(reach).root())).unwrap_or_default();
            (StatusCode::NOT_MODIFIED, [(header::ETAG, root)]).into_response()
        }
        Ok(Reply::NotNow) => not_now(&cluster, "there is no state yet, or there are too many workers\n"),
        Err(_) => not_now(&cluster, "this leader is stopping\n"),
    }
}

async fn send_state(cluster: &Cluster, reach: Reach) -> Response {
    let permit = timeout(LONGEST_LINE, cluster.full_sends.clone().acquire_owned()).await;
    let Ok(Ok(permit)) = permit else {
        return not_now(cluster, "too many workers fetch the state at this moment\n");
    };
    let current = cluster.current.borrow().clone();
    let Some(current) = current else {
        return not_now(cluster, "there is no state yet\n");
    };
    let state = current.state(reach);
    let Some(bytes) = state.encoded().await else {
        return not_now(cluster, "this leader is stopping\n");
    };
    cluster.counters.state(bytes.len());
    let headers =
        [(header::CONTENT_TYPE, "application/x-protobuf".to_owned()), (header::ETAG, etag(state.root()))];
    (headers, body(bytes, permit)).into_response()
}

fn not_now(cluster: &Cluster, sentence: &'static str) -> Response {
    cluster.counters.not_now();
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER)], sentence).into_response()
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

fn etag(root: Root) -> String {
    format!("\"{root}\"")
}

/// What isn't a root of ours is no root that we know: the worker gets the state.
fn known_root(headers: &HeaderMap) -> Option<Root> {
    let value = headers.get(header::IF_NONE_MATCH)?.to_str().ok()?;
    Root::from_hex(value.trim().strip_prefix('"')?.strip_suffix('"')?)
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
        assert_eq!(known_root(&headers("if-none-match", &etag(root))), Some(root));
        for other in ["", "*", "\"", "\"ab\"", "W/\"abab\"", &"ab".repeat(32)] {
            assert_eq!(known_root(&headers("if-none-match", other)), None, "{other}");
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
