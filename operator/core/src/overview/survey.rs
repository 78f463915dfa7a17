use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataplane_snapshot::{Key, Kind};

use super::{Overview, Overviews};
use crate::ObjectStatus;
use crate::healthy::{Healthy, HealthyReason, Pool, Tally, number};
use crate::programmed::{Verdict, Verdicts};
use crate::reports::BackendHealth;
use crate::used_up::UsedUp;

/// Makes overviews, and keeps them: a change costs what is otherwise then, however many objects there are.
#[derive(Debug, Default)]
pub struct Survey {
    verdicts: Verdicts,
    overviews: Overviews,
    used_up: Arc<UsedUp>,
    /// Of whose limits others are used up than was shown.
    limited: BTreeSet<Key>,
    /// By Backend: the Routes that send requests or copies to it. It needn't be there.
    users: BTreeMap<Key, BTreeSet<Key>>,
}

impl Survey {
    /// Takes which limits are used up for now, to be shown by the next [`Self::update`].
    pub fn limits(&mut self, used_up: &Arc<UsedUp>) {
        let before = std::mem::replace(&mut self.used_up, used_up.clone());
        let keys = before.keys().chain(used_up.keys());
        self.limited.extend(keys.filter(|key| before.get(*key) != used_up.get(*key)).cloned());
    }

    /// Takes the newest verdicts. `told` are the backends of which workers say something else than before, and `health` is
    /// what they say of one now.
    pub fn update(
        &mut self,
        verdicts: &Verdicts,
        told: BTreeSet<Key>,
        health: impl Fn(&Key) -> BackendHealth,
    ) -> &Overviews {
        let mut changed = self.judged(verdicts);
        changed.append(&mut self.limited);
        changed.extend(told.into_iter().map(|key| key.inline_in().map_or(key, |(route, _)| route)));
        let (mut routes, others): (BTreeSet<Key>, BTreeSet<Key>) =
            changed.into_iter().partition(|key| key.kind() == Kind::Route);
        // What a Route can take depends on its Backends, so these come first.
        for key in &others {
            let before = self.supply(key);
            self.look(key, &health);
            if self.supply(key) != before {
                routes.extend(self.users.get(key).into_iter().flatten().cloned());
            }
        }
        for key in &routes {
            self.look(key, &health);
        }
        &self.overviews
    }

    /// The objects on which there is another verdict, and the Backends that others use now.
    fn judged(&mut self, verdicts: &Verdicts) -> BTreeSet<Key> {
        let before = std::mem::replace(&mut self.verdicts, verdicts.clone());
        let mut changed = BTreeSet::new();
        for (key, old, new) in before.differences(verdicts, Verdict::eq) {
            changed.insert(key.clone());
            let used = |verdict: Option<&Verdict>| -> BTreeSet<Key> {
                verdict.map(|verdict| verdict.status.backends.iter().cloned().collect()).unwrap_or_default()
            };
            let (old, new) = (used(old), used(new));
            for backend in old.difference(&new) {
                self.unused(backend, key);
            }
            for backend in new.difference(&old) {
                self.users.entry(backend.clone()).or_default().insert(key.clone());
            }
            changed.extend(old.symmetric_difference(&new).cloned());
        }
        changed
    }

    fn unused(&mut self, backend: &Key, route: &Key) {
        if let Some(users) = self.users.get_mut(backend) {
            users.remove(route);
            if users.is_empty() {
                self.users.remove(backend);
            }
        }
    }

    fn look(&mut self, key: &Key, health: impl Fn(&Key) -> BackendHealth) {
        let Some(verdict) = self.verdicts.get(key) else {
            self.overviews.remove(key);
            return;
        };
        let next = self.overview(verdict, health);
        if self.overviews.get(key).is_none_or(|old| **old != next) {
            self.overviews.insert(key.clone(), Arc::new(next));
        }
    }

    fn overview(&self, verdict: &Verdict, health: impl Fn(&Key) -> BackendHealth) -> Overview {
        let status = &*verdict.status;
        let pools = pools(status, health);
        let mut healthy = (!pools.is_empty()).then(|| Healthy::of(&pools));
        let mut tally = if pools.is_empty() { Tally::default() } else { Tally::of(&pools) };
        if status.key.kind() == Kind::Backend {
            healthy = healthy.or_else(|| Some(Healthy::of_unplanned(status)));
            tally.routes = Some(number(self.users.get(&status.key).map_or(0, BTreeSet::len)));
        }
        let (mut lacking, mut awaits_reports) = (Vec::new(), false);
        for (backend, supply) in self.supplies(status, &pools) {
            match supply {
                Supply::Good => {}
                Supply::NotReported => awaits_reports = true,
                Supply::Lacks(what) => lacking.push(format!("{backend} {what}")),
            }
        }
        awaits_reports |= healthy.as_ref().is_some_and(|it| it.reason == HealthyReason::NotReported);
        let used_up = self.used_up.get(&status.key).cloned();
        Overview { verdict: verdict.clone(), healthy, tally, lacking, awaits_reports, used_up }
    }

    /// What each backend that a Route sends requests to can take, with its name for people.
    fn supplies(&self, status: &ObjectStatus, pools: &[Pool<'_>]) -> Vec<(String, Supply)> {
        let supply = |backend: &Key| match backend.inline_in() {
            Some((_, index)) => match pools.iter().find(|pool| pool.targets.backend == *backend) {
                Some(pool) => {
                    let healthy = Healthy::of(std::slice::from_ref(pool));
                    (format!("inline backend {index}"), Supply::by(healthy.reason))
                }
                None => (format!("backends[{index}]"), Supply::Lacks("may not be used, see ResolvedRefs")),
            },
            None => (format!("Backend {}", backend.name()), self.supply(backend)),
        };
        status.destinations.iter().map(supply).collect()
    }

    fn supply(&self, backend: &Key) -> Supply {
        let healthy = self.overviews.get(backend).and_then(|overview| overview.healthy.as_ref());
        healthy.map_or(Supply::Lacks("doesn't exist"), |healthy| Supply::by(healthy.reason))
    }
}

/// Whether a backend can take requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Supply {
    Good,
    NotReported,
    Lacks(&'static str),
}

impl Supply {
    const fn by(reason: HealthyReason) -> Self {
        match reason {
            HealthyReason::NoHealthyTargets => Self::Lacks("has no healthy target"),
            HealthyReason::NotAccepted => Self::Lacks("isn't accepted"),
            HealthyReason::Held => Self::Lacks("is held"),
            HealthyReason::NotReported => Self::NotReported,
            HealthyReason::AllTargetsHealthy | HealthyReason::Degraded | HealthyReason::NotChecked => {
                Self::Good
            }
        }
    }
}

/// The backends that an object gave to the snapshot.
fn pools(status: &ObjectStatus, health: impl Fn(&Key) -> BackendHealth) -> Vec<Pool<'_>> {
    let prefix =
        |backend: &Key| backend.inline_in().map(|(_, index)| format!("{index}/")).unwrap_or_default();
    let each = status.targets.iter();
    each.map(|targets| Pool { targets, health: health(&targets.backend), prefix: prefix(&targets.backend) })
        .collect()
}
