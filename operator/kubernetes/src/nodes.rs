//! Where nodes are, as their labels tell: asked for by name when somebody wants to know, so that no list of nodes is needed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};
use operator_core::session::Place;
use tokio::time::timeout;

use crate::error::root_cause;

const REGION: &str = "topology.kubernetes.io/region";
const ZONE: &str = "topology.kubernetes.io/zone";

/// How long an answer counts: labels of nodes hardly ever change.
const FRESH: Duration = Duration::from_secs(300);
/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(10);
/// How long whoever asks first waits for the API server.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where the nodes are that were asked for.
pub struct Nodes {
    client: Client,
    known: Mutex<BTreeMap<String, Known>>,
}

#[derive(Clone)]
struct Known {
    place: Option<Place>,
    /// From then on it is asked for anew.
    until: Instant,
}

/// What is to be done for an answer.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Known(Option<Place>),
    /// With what is known, which may have changed.
    Old(Place),
    Unknown,
}

impl Nodes {
    pub fn new(client: Client) -> Arc<Self> {
        Arc::new(Self { client, known: Mutex::default() })
    }

    /// `None`: it isn't known, as the API server is away, may not be asked, or has no such node. Only a node that nothing is
    /// known of is waited for, for a second at most.
    pub async fn place(self: Arc<Self>, node: String) -> Option<Place> {
        let answer = answer(self.known().get_mut(&node), Instant::now());
        match answer {
            Answer::Known(place) => place,
            Answer::Old(place) => {
                tokio::spawn(async move { self.ask(node).await });
                Some(place)
            }
            Answer::Unknown => self.ask(node).await,
        }
    }

    async fn ask(&self, node: String) -> Option<Place> {
        let api = Api::<Node>::all(self.client.clone());
        let read = match timeout(PATIENCE, api.get_metadata(&node)).await {
            Ok(Ok(found)) => Ok(place_of(&found.metadata.labels.unwrap_or_default())),
            Ok(Err(error)) => Err(root_cause(&error)),
            Err(_) => Err("no answer in time".to_owned()),
        };
        let mut known = self.known();
        let before = known.get(&node).and_then(|known| known.place.clone());
        let (place, counts) = match read {
            Ok(place) => (Some(place), FRESH),
            Err(error) => {
                tracing::warn!(
                    node,
                    error,
                    "where this node is can't be read; its workers go by their settings"
                );
                (before, PAUSE)
            }
        };
        known.insert(node, Known { place: place.clone(), until: Instant::now() + counts });
        place
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of two who come when it is old, one asks.
fn answer(known: Option<&mut Known>, now: Instant) -> Answer {
    let Some(known) = known else { return Answer::Unknown };
    if now < known.until {
        return Answer::Known(known.place.clone());
    }
    known.until = now + PAUSE;
    known.place.clone().map_or(Answer::Unknown, Answer::Old)
}

fn place_of(labels: &BTreeMap<String, String>) -> Place {
    let text = |name: &str| labels.get(name).cloned().unwrap_or_default();
    Place { region: text(REGION), zone: text(ZONE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(zone: &str) -> Place {
        Place { zone: zone.to_owned(), ..Place::default() }
    }

    #[test]
    fn labels_tell_and_may_be_missing() {
        let labels = [(REGION, "west"), (ZONE, "west-1"), ("other", "x")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(place_of(&labels), Place { region: "west".to_owned(), zone: "west-1".to_owned() });
        assert_eq!(place_of(&BTreeMap::new()), Place::default());
    }

    #[test]
    fn what_is_known_is_told_at_once_and_asked_for_again_by_one() {
        let now = Instant::now();
        assert_eq!(answer(None, now), Answer::Unknown);
        let mut known = Known { place: Some(place("west-1")), until: now + FRESH };
        assert_eq!(answer(Some(&mut known), now), Answer::Known(Some(place("west-1"))));
        let later = now + FRESH;
        assert_eq!(answer(Some(&mut known), later), Answer::Old(place("west-1")));
        assert_eq!(answer(Some(&mut known), later), Answer::Known(Some(place("west-1"))));
        assert_eq!(answer(Some(&mut known), later + PAUSE), Answer::Old(place("west-1")));
    }

    #[test]
    fn after_a_failure_nobody_waits_for_a_while() {
        let now = Instant::now();
        let mut unknown = Known { place: None, until: now + PAUSE };
        assert_eq!(answer(Some(&mut unknown), now), Answer::Known(None));
        assert_eq!(answer(Some(&mut unknown), now + PAUSE), Answer::Unknown);
        assert_eq!(answer(Some(&mut unknown), now + PAUSE), Answer::Known(None));
    }
}
