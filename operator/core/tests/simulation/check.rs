//! What must hold after every event, and at the end. Each panics with what it found.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dataplane_core::served::Served;
use dataplane_core::subscription::Readiness;
use dataplane_snapshot::{AsOf, Key, Kind, Object, ObjectHash, Recency, wire};
use operator_core::programmed::{Programmed, Verdict};
use operator_core::session::Reach;

use crate::leader::{Version, short};
use crate::message::{LeaderIndex, WorkerIndex};
use crate::worker::{Goods, member};
use crate::world::World;

/// What is known of one worker, from outside.
#[derive(Default)]
pub(crate) struct Record {
    /// The last good versions that it has, and those that go with what is on its disk.
    pub(crate) goods: Goods,
    stored_goods: Goods,
    stored_as_of: Option<AsOf>,
    is_in_service: bool,
    /// Of what it has in service, in this life.
    pub(crate) as_of: Option<AsOf>,
}

/// What one life of a worker has served, by key: what, and from when on. Nothing: it served none.
pub(crate) type Lives = BTreeMap<String, Life>;

#[derive(Default)]
pub(crate) struct Life {
    served: BTreeMap<Key, Vec<(Duration, Option<ObjectHash>)>>,
    as_of: Option<AsOf>,
}

/// Of all writes: when they were made, and which objects have been planned for them.
#[derive(Default)]
pub(crate) struct Writes {
    seen_at: BTreeMap<u64, Duration>,
    objects: BTreeMap<u64, BTreeSet<ObjectHash>>,
    /// By leader and write: as of what a leader first planned it as it is written, since it last was held there.
    planned: BTreeMap<(LeaderIndex, u64), AsOf>,
}

/// Not by what is under test: in the same epoch, and nothing is lower.
fn has_seen(seen: &AsOf, write: &AsOf) -> bool {
    write.0.iter().all(|(source, written)| {
        let seen = seen.0.get(source).filter(|seen| seen.epoch == written.epoch);
        seen.is_some_and(|seen| {
            written.revisions.iter().all(|(kind, revision)| seen.revisions.get(kind) >= Some(revision))
        })
    })
}

impl Record {
    pub(crate) fn begin(&mut self, restored: Option<&Served>) {
        self.goods = Goods::default();
        self.is_in_service = false;
        self.as_of = None;
        let Some(restored) = restored else { return };
        assert_eq!(
            Some(restored.snapshot().as_of()),
            self.stored_as_of.as_ref(),
            "the disk has another as-of"
        );
    }

    /// What was on disk is in service.
    pub(crate) fn restored(&mut self) {
        self.goods = self.stored_goods.clone();
    }

    pub(crate) fn written(&mut self, goods: Goods, as_of: AsOf) {
        self.stored_goods = goods;
        self.stored_as_of = Some(as_of);
    }
}

impl World {
    /// Takes note of what a leader planned.
    pub(crate) fn note_planned(&mut self, index: LeaderIndex) {
        let Some(pass) = &self.leaders[index].planned else { return };
        self.published.insert(pass.snapshot.root());
        self.published.insert(pass.snapshot.without_secrets().root());
        for (key, status) in pass.statuses.iter() {
            let observed = pass.world.routes.get(key).or_else(|| pass.world.backends.get(key));
            let Some(observed) = observed else { continue };
            let write = self.truth.write_of(observed);
            if status.accepted.is_err() || status.is_held() {
                self.writes.planned.remove(&(index, write));
                continue;
            }
            self.writes.seen_at.entry(write).or_insert(self.now);
            self.writes.planned.entry((index, write)).or_insert_with(|| pass.snapshot.as_of().clone());
            if let Some(object) = pass.snapshot.get(key) {
                self.writes.objects.entry(write).or_default().insert(*object.hash());
            }
        }
    }

    /// Programmed is said only when each counted worker has served the object as it was written, or has applied a state
    /// that has seen the write.
    pub(crate) fn check_programmed(&mut self, index: LeaderIndex) {
        let now = self.leader_now(index);
        let leader = &mut self.leaders[index];
        let Some(pass) = &leader.planned else { return };
        for (key, Verdict { programmed, .. }) in leader.verdicts.iter() {
            let observed = pass.world.routes.get(key).or_else(|| pass.world.backends.get(key));
            let Some(observed) = observed.filter(|_| programmed.is_true()) else { continue };
            let write = self.truth.write_of(observed);
            if !leader.told.insert(write) {
                continue;
            }
            let status = pass.statuses.get(key);
            assert!(
                status.is_some_and(|status| status.accepted.is_ok() && !status.is_held()),
                "leader {index}: {key} is held and programmed"
            );
            let members: Vec<_> = leader.session.members().list(now).collect();
            assert!(!members.is_empty(), "leader {index}: {key} is programmed without a worker");
            let as_of = &self.writes.planned[&(index, write)];
            for member in members {
                let id = member.identity.id;
                let life = self.lives.get(&id);
                let has_seen =
                    life.and_then(|life| life.as_of.as_ref()).is_some_and(|seen| has_seen(seen, as_of));
                let has_served = || life.is_some_and(|life| life.has_served(key, write, &self.writes));
                assert!(
                    has_seen || has_served(),
                    "leader {index}: {key} is programmed, but {id} hasn't got it: it is as of {:?}, and needs {as_of:?}",
                    life.and_then(|life| life.as_of.as_ref())
                );
            }
        }
    }

    /// What a worker has accepted never goes back.
    pub(crate) fn check_accepted(&mut self, index: WorkerIndex) {
        let worker = &mut self.workers[index];
        let Some((_, as_of, _)) = worker.subscription.status().applied else { return };
        if let Some(before) = &worker.record.as_of {
            assert_ne!(
                before.recency_of(&as_of),
                Recency::Stale,
                "worker {index} goes back from {before:?} to {as_of:?}"
            );
        }
        let life = self.lives.entry(member(index, worker.life).id).or_default();
        life.as_of = Some(as_of.clone());
        worker.record.as_of = Some(as_of);
    }

    /// What is served is the content of one published state, with the last good version of what is held or rejected.
    pub(crate) fn check_served(&mut self, index: WorkerIndex, rejected: &[(Key, String)]) {
        let worker = &mut self.workers[index];
        let (served, snapshot) = (&worker.served, worker.served.snapshot());
        let root = snapshot.root();
        assert!(
            self.published.contains(&root),
            "worker {index} serves {}, which nobody published",
            short(root)
        );
        if let Some(before) = worker.record.as_of.as_ref().filter(|_| worker.record.is_in_service) {
            assert_ne!(
                before.recency_of(snapshot.as_of()),
                Recency::Stale,
                "worker {index} serves an older state"
            );
        }
        worker.record.is_in_service = true;
        let is_bad =
            |key: &Key| rejected.iter().any(|(bad, _)| bad == key) || snapshot.get(key).is_some_and(is_held);
        let goods = &mut worker.record.goods;
        for (key, object) in served.iter() {
            let is_good = goods.get(key) == Some(object);
            match snapshot.get(key) {
                Some(planned) if is_bad(key) && goods.contains_key(key) && is_held(planned) => {
                    let is_gone = rejected.iter().any(|(bad, _)| bad == key);
                    assert!(is_good || is_gone, "worker {index}: {key} isn't its last good version");
                }
                Some(planned) if is_bad(key) => {
                    assert!(is_good || object == planned, "worker {index}: {key} is something old");
                }
                Some(planned) => {
                    assert_eq!(object, planned, "worker {index}: {key} isn't as it was published")
                }
                // Endpoints may be those of the backend's last good version, or newer ones that were served with it.
                None => {
                    let is_owned =
                        owner(key).is_some_and(|owner| is_bad(&owner) && goods.contains_key(&owner));
                    assert!(is_owned, "worker {index}: {key} is gone, but is served");
                }
            }
        }
        for object in snapshot.objects() {
            assert!(served.object(object.key()).is_some(), "worker {index}: {:?} is missing", object.key());
        }
        goods.retain(|key, _| {
            snapshot.get(key).is_some() || (is_part(key) && owner(key).is_some_and(|owner| is_bad(&owner)))
        });
        for object in snapshot.objects().filter(|object| !is_bad(object.key())) {
            goods.insert(object.key().clone(), object.clone());
        }
        let id = member(index, worker.life).id;
        let life = self.lives.entry(id).or_default();
        life.note(served, self.now);
    }

    /// Long after the last fault.
    pub(crate) fn check_converged(&self) {
        for (index, worker) in self.workers.iter().enumerate() {
            let status = worker.subscription.status();
            let (root, as_of, _) = status.applied.as_ref().expect("it serves something");
            let newest = |leader: LeaderIndex| {
                let offer = self.leaders[leader].offer.as_ref().expect("it published something");
                // What it got where it may have secrets is also current where it may not.
                let network = || offer.snapshot(Reach::Network).root() == *root;
                let is_network = self.reach(index, leader) == Reach::Network;
                offer.snapshot(Reach::Machine).root() == *root || (is_network && network())
            };
            let is_newest = (0..self.leaders.len()).any(newest);
            assert!(is_newest, "worker {index} stays at {} as of {as_of:?}: {status:?}", short(*root));
            assert_eq!(status.readiness, Readiness::Ready, "worker {index}");
            assert_eq!(status.not_persisted, None, "worker {index}");
            assert_eq!(
                worker.record.stored_as_of.as_ref(),
                Some(as_of),
                "worker {index}: the disk is behind"
            );
        }
        for (index, leader) in
            self.leaders.iter().enumerate().filter(|(_, it)| it.version != Version::Foreign)
        {
            let members: Vec<_> = leader.session.members().list(self.leader_now(index)).collect();
            for (key, Verdict { programmed, .. }) in leader.verdicts.iter() {
                let is_settled = match programmed {
                    Programmed::Propagating { .. } | Programmed::WorkerLost { .. } => false,
                    Programmed::NoWorkers => members.is_empty(),
                    Programmed::OutOfScope => unreachable!("all have everything"),
                    Programmed::True
                    | Programmed::NotAccepted
                    | Programmed::Held
                    | Programmed::Rejected { .. } => true,
                };
                assert!(is_settled, "leader {index}: {key} stays {programmed:?} with {members:?}");
            }
        }
    }
}

impl Life {
    fn note(&mut self, served: &Served, now: Duration) {
        let hashes: BTreeMap<&Key, &ObjectHash> =
            served.iter().map(|(key, object)| (key, object.hash())).collect();
        for (key, history) in &mut self.served {
            if !hashes.contains_key(key) && history.last().is_some_and(|(_, hash)| hash.is_some()) {
                history.push((now, None));
            }
        }
        for (key, hash) in hashes {
            let history = self.served.entry(key.clone()).or_default();
            if history.last().is_none_or(|(_, last)| *last != Some(*hash)) {
                history.push((now, Some(*hash)));
            }
        }
    }

    /// Whether it served what was planned for this write at some time since it was first planned.
    fn has_served(&self, key: &Key, write: u64, writes: &Writes) -> bool {
        let (Some(seen_at), Some(objects)) = (writes.seen_at.get(&write), writes.objects.get(&write)) else {
            // It gives no object: there is nothing to serve.
            return writes.seen_at.contains_key(&write);
        };
        let history = self.served.get(key).map_or(&[][..], |history| history);
        history.iter().enumerate().any(|(index, (_, hash))| {
            let is_over = history.get(index + 1).is_some_and(|(end, _)| end < seen_at);
            !is_over && hash.is_some_and(|hash| objects.contains(&hash))
        })
    }
}

fn is_held(object: &Object) -> bool {
    matches!(object.decode(), Ok(wire::Payload::Held(_)))
}

/// Endpoints and passwords are parts of backends.
const fn is_part(key: &Key) -> bool {
    matches!(key.kind(), Kind::Endpoints | Kind::Secret)
}

fn owner(part: &Key) -> Option<Key> {
    let name = part.name().strip_suffix("~proxy").unwrap_or(part.name());
    is_part(part).then(|| Key::new(Kind::Backend, part.namespace(), name))
}
