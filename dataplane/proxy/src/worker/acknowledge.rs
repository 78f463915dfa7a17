use std::sync::Arc;

use bytes::Bytes;
use dataplane_core::subscription::{Attempt, Event};
use dataplane_snapshot::{AsOf, Key, Root, wire};
use tokio::sync::mpsc;

use super::LeaderUrl;
use super::client::Client;

/// The longest reason of a rejection, in bytes.
const MAX_REASON: usize = 512;

/// How many objects are told with a reason of their own; the ones after them only by their key.
const WITH_REASON: usize = 256;

/// The most that keys and reasons may take, in bytes: a leader accepts 256 KiB in all.
const MAX_REJECTIONS: usize = 192 * 1024;

/// Bytes of one rejection beside its key and its reason.
const FRAMING: usize = 16;

/// What is told to a leader.
#[derive(Clone)]
pub(super) struct Content {
    pub(super) leader: usize,
    pub(super) root: Root,
    pub(super) as_of: AsOf,
    pub(super) rejected: Vec<(Key, String)>,
    pub(super) refused: Option<(Root, String)>,
}

/// An acknowledgement to deliver.
pub(super) struct Delivery {
    /// `None`: nobody awaits how it ends.
    pub(super) attempt: Option<Attempt>,
    pub(super) url: LeaderUrl,
    pub(super) ack: wire::Ack,
}

/// Delivers one after the other, so that an older one never comes after a newer one.
pub(super) async fn deliver(
    client: Arc<Client>,
    mut deliveries: mpsc::UnboundedReceiver<Delivery>,
    events: mpsc::UnboundedSender<Event>,
) {
    let mut failures: u32 = 0;
    while let Some(Delivery { attempt, url, ack }) = deliveries.recv().await {
        let outcome = client.acknowledge(&url, ack).await;
        match &outcome {
            Ok(()) => failures = 0,
            // One alone is what a leader that restarts looks like.
            Err(reason) if failures == 0 => {
                failures = 1;
                tracing::debug!(reason, "an acknowledgement wasn't delivered");
            }
            Err(reason) => {
                failures = failures.saturating_add(1);
                tracing::warn!(reason, failures, "acknowledgements aren't delivered; they are tried again");
            }
        }
        if let Some(attempt) = attempt {
            let _ = events.send(match outcome {
                Ok(()) => Event::AckDelivered { attempt },
                Err(_) => Event::AckFailed { attempt },
            });
        }
    }
}

/// As the leader wants it, and never longer than it accepts. `listeners` are the ones that aren't open, told first.
pub(super) fn encode(content: Content, listeners: impl IntoIterator<Item = (Key, String)>) -> wire::Ack {
    // The rejection of no object in particular is the refusal of a whole state.
    let whole = content.refused.map(|(root, reason)| wire::Rejection {
        key: String::new(),
        reason: bounded(format!("state {root} was refused: {reason}")),
    });
    let (single, more) = listed(listeners.into_iter().chain(content.rejected));
    wire::Ack {
        root: Bytes::copy_from_slice(&content.root.0),
        as_of: Some(wire::as_of_to_wire(&content.as_of)),
        rejected: whole.into_iter().chain(single).collect(),
        member: None,
        more_rejected: more > 0,
    }
}

/// As many as have room, the last of which tells how many more there are, and that number.
fn listed(rejected: impl Iterator<Item = (Key, String)>) -> (Vec<wire::Rejection>, usize) {
    let mut listed: Vec<wire::Rejection> = Vec::new();
    let (mut size, mut more) = (0, 0_usize);
    for (key, reason) in rejected {
        let key = key.to_string();
        let reason =
            if listed.len() < WITH_REASON { bounded(reason) } else { "see the worker's log".to_owned() };
        let length = key.len() + reason.len() + FRAMING;
        if size + length <= MAX_REJECTIONS {
            size += length;
            listed.push(wire::Rejection { key, reason });
        } else {
            more += 1;
        }
    }
    if let Some(last) = listed.last_mut().filter(|_| more > 0) {
        last.reason.push_str(&format!("; and {more} more objects were rejected"));
    }
    (listed, more)
}

fn bounded(mut reason: String) -> String {
    const ELLIPSIS: char = '…';
    if reason.len() > MAX_REASON {
        reason.truncate(reason.floor_char_boundary(MAX_REASON - ELLIPSIS.len_utf8()));
        reason.push(ELLIPSIS);
    }
    reason
}

#[cfg(test)]
#[path = "acknowledge_tests.rs"]
mod tests;
