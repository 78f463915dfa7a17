//! What the proxy says about itself on its own listeners, whatever the routes are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// All that begins so is the proxy's where it says this, for what may come.
const PREFIX: &str = "/.well-known/komainu/";

/// Status and body in JSON of the answer to a request for `path` that is for the proxy itself. Who asks may be anybody, and is
/// told yes or no alone.
pub(super) fn answer(readiness: Option<&Arc<AtomicBool>>, path: &str) -> Option<(u16, &'static [u8])> {
    let readiness = readiness?;
    Some(match path.strip_prefix(PREFIX)? {
        "live" => (200, b"{\"live\":true}"),
        "ready" if readiness.load(Ordering::Relaxed) => (200, b"{\"ready\":true}"),
        "ready" => (503, b"{\"ready\":false}"),
        _ => (404, b"{\"error\":\"there are /.well-known/komainu/live and ready\"}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_paths_are_answered_and_only_if_it_is_told_to() {
        let readiness = Arc::new(AtomicBool::new(false));
        let status = |path| answer(Some(&readiness), path).map(|(status, _)| status);
        assert_eq!(status("/.well-known/komainu/live"), Some(200));
        assert_eq!(status("/.well-known/komainu/ready"), Some(503));
        readiness.store(true, Ordering::Relaxed);
        assert_eq!(status("/.well-known/komainu/ready"), Some(200));
        assert_eq!(status("/.well-known/komainu/metrics"), Some(404));
        assert_eq!(status("/.well-known/komainu"), None);
        assert_eq!(status("/.well-known/acme-challenge/x"), None);
        assert_eq!(answer(None, "/.well-known/komainu/ready"), None);
    }
}
