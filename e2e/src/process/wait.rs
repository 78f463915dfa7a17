use std::time::{Duration, Instant};

/// How long a condition may take in tests that have no tighter limit of their own. Generous: CI has two busy cores.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` gives a value and says how long that took. Panics with `what` after 30 s.
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> (T, Duration) {
    within(PATIENCE, what, condition)
}

/// [`until`] with a limit of one's own.
pub fn within<T>(limit: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> (T, Duration) {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return (value, start.elapsed());
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
