use std::sync::Arc;
use std::time::Duration;

use dataplane_snapshot::Epoch;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::heads::{HeadRow, Heads};

/// Asks for the revision now and then.
pub(super) struct Poll {
    heads: Arc<Heads>,
    hints: watch::Sender<u64>,
    /// Of the last hint.
    epoch: Epoch,
}

impl Poll {
    /// `epoch`: that of the revision that is in `hints`.
    pub(super) const fn new(heads: Arc<Heads>, hints: watch::Sender<u64>, epoch: Epoch) -> Self {
        Self { heads, hints, epoch }
    }

    /// Tells risen revisions for ever; also the first one after a time without answers.
    pub(super) async fn follow(mut self, every: Duration) {
        let mut is_known = true;
        // How long an answer takes isn't added to the pause.
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.heads.settled().await {
                Ok(head) => {
                    self.tell(head, is_known);
                    is_known = true;
                }
                Err(error) => {
                    tracing::debug!(%error, "the state store doesn't tell its revision");
                    is_known = false;
                }
            }
        }
    }

    /// One that was restored goes on in a new epoch with lower revisions. If there is none any more, who reads will see.
    fn tell(&mut self, head: Option<HeadRow>, is_known: bool) {
        let revision = head.as_ref().map(HeadRow::revision).unwrap_or_default();
        let epoch = head.and_then(|head| head.epoch()).unwrap_or_else(|| self.epoch.clone());
        let is_other = epoch != self.epoch;
        self.epoch = epoch;
        self.hints.send_if_modified(|hint| {
            let news = revision > *hint || is_other || !is_known;
            *hint = if is_other { revision } else { revision.max(*hint) };
            news
        });
    }
}
