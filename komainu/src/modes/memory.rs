//! What a change needed on its way goes back to the system once it is in service: an idle process keeps what it serves with,
//! not what it was made of.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::observe::give_back;

/// How long a thread for blocking work waits for more. The allocator takes the memory that it kept when it ends.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// From a change until memory is given back: what follows a change, as the write of the state file, is over by then, and so are the
/// threads that did it.
const QUIET: Duration = Duration::from_secs(3);

/// Gives memory back after changes of what `changes` shows; of many in a row, once for all that come within [`QUIET`].
pub(super) fn give_back_after<T: Send + Sync + 'static>(mut changes: watch::Receiver<T>) {
    tokio::spawn(async move {
        while changes.changed().await.is_ok() {
            sleep(QUIET).await;
            changes.mark_unchanged();
            give_back();
        }
    });
}
