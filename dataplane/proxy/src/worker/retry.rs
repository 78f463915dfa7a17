use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::{Applier, Service};

/// The pause before the first retry.
const FIRST: Duration = Duration::from_secs(1);

/// The longest pause; it doubles until then.
const LONGEST: Duration = Duration::from_secs(5);

/// Tries to open the listeners that aren't open, for as long as there are such.
pub(super) async fn retry<S: Service>(applier: Arc<Applier<S>>) -> Infallible {
    let mut unopened = applier.unopened();
    let mut pause = FIRST;
    loop {
        // Its sender is a part of the applier, which is held here.
        let _ = unopened.wait_for(|listeners| !listeners.is_empty()).await;
        tokio::time::sleep(pause).await;
        let again = applier.clone();
        let _ = tokio::task::spawn_blocking(move || again.retry_listeners()).await;
        pause = if unopened.borrow().is_empty() { FIRST } else { (pause * 2).min(LONGEST) };
    }
}
