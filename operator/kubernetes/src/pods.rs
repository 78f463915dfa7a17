//! Which worker pods are ready, as the API server tells: they are what `Programmed` counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;

/// The names of the ready pods; `None` before they are known.
pub type ReadyPods = Option<Arc<BTreeSet<String>>>;

/// How long one watch request lasts, in seconds.
const WATCH_SECONDS: u32 = 120;
/// What is said about a failure is said again after this time at the earliest.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// Follows the pods with these labels (a selector as kubectl takes it), for as long as it is awaited. While the API server is
/// away, what was last known stays.
pub async fn follow_pods(
    client: Client,
    namespace: String,
    selector: String,
    ready: watch::Sender<ReadyPods>,
) {
    let config = Config::default().labels(&selector).timeout(WATCH_SECONDS);
    let events = watcher(Api::<Pod>::namespaced(client, &namespace), config).default_backoff();
    pin_mut!(events);
    let mut pods = Pods::default();
    let mut said: Option<tokio::time::Instant> = None;
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                if let Some(names) = pods.take(event) {
                    ready.send_if_modified(|ready| {
                        ready.as_deref() != Some(&names) && {
                            *ready = Some(Arc::new(names));
                            true
                        }
                    });
                }
            }
            Err(error) if said.is_none_or(|at| at.elapsed() >= SAY_AGAIN) => {
                said = Some(tokio::time::Instant::now());
                tracing::warn!(namespace, selector, %error, "the worker pods can't be watched; what was last known stays");
            }
            Err(_) => {}
        }
    }
}

/// The pods that exist, and whether each is ready.
#[derive(Default)]
struct Pods {
    is_ready: BTreeMap<String, bool>,
    /// Those of a list that isn't complete yet.
    listed: BTreeMap<String, bool>,
}

impl Pods {
    /// The ready ones, if this may have changed which.
    fn take(&mut self, event: Event<Pod>) -> Option<BTreeSet<String>> {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(pod) => {
                self.listed.insert(pod.name_any(), is_ready(&pod));
            }
            Event::InitDone => self.is_ready = std::mem::take(&mut self.listed),
            Event::Apply(pod) => {
                self.is_ready.insert(pod.name_any(), is_ready(&pod));
            }
            Event::Delete(pod) => {
                self.is_ready.remove(&pod.name_any());
            }
        }
        let is_listing = !self.listed.is_empty();
        (!is_listing).then(|| {
            self.is_ready.iter().filter(|(_, ready)| **ready).map(|(name, _)| name.clone()).collect()
        })
    }
}

/// A pod that is to end gets no new work, ready or not.
fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let is_ready = conditions.into_iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True");
    is_ready && pod.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, ready: &str) -> Pod {
        let conditions =
            json!([{ "type": "Initialized", "status": "True" }, { "type": "Ready", "status": ready }]);
        serde_json::from_value(
            json!({ "metadata": { "name": name }, "status": { "conditions": conditions } }),
        )
        .unwrap()
    }

    fn names(ready: &[&str]) -> Option<BTreeSet<String>> {
        Some(ready.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn only_a_complete_list_counts() {
        let mut pods = Pods::default();
        pods.take(Event::Init);
        assert_eq!(pods.take(Event::InitApply(pod("a", "True"))), None);
        assert_eq!(pods.take(Event::InitApply(pod("b", "False"))), None);
        assert_eq!(pods.take(Event::InitDone), names(&["a"]));
        pods.take(Event::Init);
        assert_eq!(pods.take(Event::InitApply(pod("b", "True"))), None, "a isn't gone until all are listed");
        assert_eq!(pods.take(Event::InitDone), names(&["b"]));
    }

    #[test]
    fn follows_who_becomes_ready_ends_and_goes() {
        let mut pods = Pods::default();
        pods.take(Event::InitDone);
        assert_eq!(pods.take(Event::Apply(pod("a", "False"))), names(&[]));
        assert_eq!(pods.take(Event::Apply(pod("a", "True"))), names(&["a"]));
        let mut ending = pod("a", "True");
        ending.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-02T03:04:05Z")).unwrap();
        assert_eq!(pods.take(Event::Apply(ending.clone())), names(&[]));
        assert_eq!(pods.take(Event::Delete(ending)), names(&[]));
    }
}
