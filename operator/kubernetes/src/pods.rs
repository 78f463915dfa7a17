//! Which worker pods are ready, as the API server tells: they are what `Programmed` counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use operator_core::session::WorkerPods;
use tokio::sync::watch;

/// The pods that count; `None` before they are known.
pub type ReadyPods = Option<Arc<WorkerPods>>;

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
                if let Some(now) = pods.take(event) {
                    ready.send_if_modified(|ready| {
                        ready.as_deref() != Some(&now) && {
                            *ready = Some(Arc::new(now));
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

/// The pods that exist, and how each stands.
#[derive(Default)]
struct Pods {
    standings: BTreeMap<String, Standing>,
    /// Those of a list that isn't complete yet.
    listed: BTreeMap<String, Standing>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Ready,
    /// All its containers are ready, and it isn't.
    Doubted,
    Unready,
}

impl Pods {
    /// Those that count, unless the event is about a list that isn't complete yet.
    fn take(&mut self, event: Event<Pod>) -> Option<WorkerPods> {
        match event {
            Event::Init => {
                self.listed.clear();
                return None;
            }
            Event::InitApply(pod) => {
                self.listed.insert(pod.name_any(), standing(&pod));
                return None;
            }
            Event::InitDone => self.standings = std::mem::take(&mut self.listed),
            Event::Apply(pod) => {
                self.standings.insert(pod.name_any(), standing(&pod));
            }
            Event::Delete(pod) => {
                self.standings.remove(&pod.name_any());
            }
        }
        let those = |standing: Standing| {
            let its = self.standings.iter().filter(move |(_, is)| **is == standing);
            its.map(|(name, _)| name.clone()).collect()
        };
        Some(WorkerPods { ready: those(Standing::Ready), doubted: those(Standing::Doubted) })
    }
}

/// A pod that is to end gets no new work, ready or not.
fn standing(pod: &Pod) -> Standing {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let is =
        |type_: &str| conditions.into_iter().flatten().any(|one| one.type_ == type_ && one.status == "True");
    match (pod.metadata.deletion_timestamp.is_none(), is("Ready"), is("ContainersReady")) {
        (true, true, _) => Standing::Ready,
        (true, false, true) => Standing::Doubted,
        _ => Standing::Unready,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, ready: &str) -> Pod {
        let conditions = json!([
            { "type": "Initialized", "status": "True" },
            { "type": "Ready", "status": ready },
            { "type": "ContainersReady", "status": if ready == "called unready" { "True" } else { ready } },
        ]);
        serde_json::from_value(
            json!({ "metadata": { "name": name }, "status": { "conditions": conditions } }),
        )
        .unwrap()
    }

    fn ready(names: &[&str]) -> Option<WorkerPods> {
        let ready = names.iter().map(|name| (*name).to_owned()).collect();
        Some(WorkerPods { ready, ..WorkerPods::default() })
    }

    #[test]
    fn only_a_complete_list_counts() {
        let mut pods = Pods::default();
        assert_eq!(pods.take(Event::Init), None);
        assert_eq!(pods.take(Event::InitApply(pod("a", "True"))), None);
        assert_eq!(pods.take(Event::InitApply(pod("b", "False"))), None);
        assert_eq!(pods.take(Event::InitDone), ready(&["a"]));
        pods.take(Event::Init);
        assert_eq!(pods.take(Event::InitApply(pod("b", "True"))), None, "a isn't gone until all are listed");
        assert_eq!(pods.take(Event::InitDone), ready(&["b"]));
    }

    #[test]
    fn follows_who_becomes_ready_ends_and_goes() {
        let mut pods = Pods::default();
        pods.take(Event::InitDone);
        assert_eq!(pods.take(Event::Apply(pod("a", "False"))), ready(&[]));
        assert_eq!(pods.take(Event::Apply(pod("a", "True"))), ready(&["a"]));
        let mut ending = pod("a", "True");
        ending.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-02T03:04:05Z")).unwrap();
        assert_eq!(pods.take(Event::Apply(ending.clone())), ready(&[]));
        assert_eq!(pods.take(Event::Delete(ending)), ready(&[]));
        let doubted = pods.take(Event::Apply(pod("a", "called unready"))).unwrap();
        assert!(doubted.ready.is_empty() && doubted.doubted.contains("a"), "{doubted:?}");
    }
}
