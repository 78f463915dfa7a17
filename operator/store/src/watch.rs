use std::sync::Arc;
use std::time::Duration;

use operator_core::{Owner, SourceView};
use tokio::sync::watch;

use crate::observe::Follower;
use crate::{Changes, StateStore, StoreError};

/// How long a reader that got no hint waits until it looks by itself. Hints may be lost.
const WITHOUT_HINT: Duration = Duration::from_secs(30);
/// How long a reader waits after an error, and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Publishes what the store has of `owner`, and again after each change, until nobody listens. While the store can't be
/// read, the last view stays.
pub async fn watch_view(
    store: Arc<dyn StateStore>,
    owner: Owner,
    views: watch::Sender<Option<Arc<SourceView>>>,
) {
    let mut hints = store.subscribe();
    let mut follower = None;
    let mut wait = RETRY.0;
    loop {
        hints.borrow_and_update();
        let pause = match follow(&*store, owner, &mut follower).await {
            Ok(changed) => {
                if let Some(view) = follower.as_ref().filter(|_| changed).and_then(Follower::view) {
                    views.send_replace(Some(Arc::new(view)));
                }
                wait = RETRY.0;
                WITHOUT_HINT
            }
            Err(error) => {
                tracing::warn!(%owner, %error, "the state store can't be read; what it last gave stays");
                // It may come back with less than it had, and with other things under the same numbers: all is read then.
                if let Some(follower) = &mut follower {
                    follower.read_all = true;
                }
                let pause = wait;
                wait = (wait * 2).min(RETRY.1);
                pause
            }
        };
        tokio::select! {
            () = views.closed() => return,
            _ = tokio::time::timeout(pause, hint(&mut hints)) => {}
        }
    }
}

/// Waits for a hint; for ever if the store gives none any more.
async fn hint(hints: &mut watch::Receiver<u64>) {
    if hints.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Whether there is something new.
async fn follow(
    store: &dyn StateStore,
    owner: Owner,
    follower: &mut Option<Follower>,
) -> Result<bool, StoreError> {
    let Some(known) = follower else {
        *follower = Some(Follower::of(owner, &store.list(owner).await?));
        return Ok(true);
    };
    if known.read_all {
        known.replace(&store.list(owner).await?);
        return Ok(true);
    }
    match store.changes_since(owner, known.revision).await? {
        Changes::Since(changes) => Ok(known.advance(changes)),
        Changes::TooOld => {
            known.replace(&store.list(owner).await?);
            Ok(true)
        }
    }
}
