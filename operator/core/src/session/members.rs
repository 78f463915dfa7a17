use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dataplane_snapshot::{AsOf, Recency, Root, Scope};

use crate::programmed::{Applied, Counted, Share};
use crate::scoped::Part;

/// How long a worker that isn't heard of stays a member, and so is waited for by Programmed.
pub const MEMBER_TTL: Duration = Duration::from_secs(60);

/// After this time without a word a member is shown as lost. The longest pause of a worker that looks for its leader.
pub const LOST_AFTER: Duration = Duration::from_secs(10);

/// A member that isn't heard of for this time is forgotten if one with its name joined meanwhile: the same worker,
/// restarted.
pub const SUPERSEDED_AFTER: Duration = Duration::from_secs(3);

/// The most members. A client with good credentials could else fill the leader's memory with invented ids.
pub const MAX_MEMBERS: usize = 16_384;

/// The most members by one client that may have a part only: so many are left for the others.
pub const MAX_MEMBERS_OF_CLIENT: usize = 1_024;

/// Who a worker says it is. The id is new per process, the name is the user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub id: String,
    pub name: String,
    pub version: String,
    /// What it may have and asked for.
    pub scope: Scope,
    /// By which of the clients that may have a part only it calls, if by one: nobody else by one speaks for it.
    pub client: Option<usize>,
    /// The pod that it is the worker of, if it shows the pod's token: no other pod speaks for it.
    pub pod: Option<String>,
}

/// What another leader tells of one of its workers.
#[derive(Clone, Debug)]
pub struct Relayed {
    pub member: Identity,
    /// What it has in service, and why it refused a state as a whole; `None`: it hasn't said.
    pub applied: Option<(Applied, Option<String>)>,
    /// Since it was heard of.
    pub silent_for: Duration,
}

/// The live workers, by id.
#[derive(Debug, Default)]
pub struct Members {
    by_id: BTreeMap<String, Member>,
    /// The root of the state that all should have whose scope is everything.
    current: Option<Root>,
    /// The states that the others should have.
    parts: BTreeMap<Scope, Part>,
    changes: u64,
}

#[derive(Debug)]
struct Member {
    identity: Identity,
    joined: Duration,
    presence: Presence,
    /// As last told to whoever watches the members.
    shown_lost: bool,
    applied: Option<Applied>,
    refused: Option<String>,
    /// Since when there is a state that it hasn't.
    behind_since: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// In this process.
    Local,
    /// A poll of it is held.
    Waiting,
    Away {
        since: Duration,
    },
    /// It speaks to another leader, which tells of it.
    Elsewhere {
        since: Duration,
    },
}

/// One member, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberStatus {
    pub identity: Identity,
    /// Time since it was last heard of; zero while a poll of it is held.
    pub silent_for: Duration,
    pub lost: bool,
    pub applied: Option<Applied>,
    /// Why it refused a state as a whole, if that is how it stands.
    pub refused: Option<String>,
    /// For how long there has been a state that it hasn't said to have; zero if it has the current one.
    pub behind_for: Duration,
    /// Another member that isn't lost has the same name.
    pub same_name: bool,
    /// It speaks to another leader, which tells of it.
    pub elsewhere: bool,
}

/// The pods of workers that count, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerPods {
    /// Connected or not.
    pub ready: BTreeSet<String>,
    /// Those called unready whose containers are ready. Kubernetes' node controller does that to all pods of a node that it doesn't
    /// hear of. They count while the leader hears of them.
    pub doubted: BTreeSet<String>,
}

impl Members {
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// All members, in the order of their ids.
    pub fn list(&self, now: Duration) -> impl Iterator<Item = MemberStatus> {
        let live = self.by_id.values().filter(move |member| !member.is_lost(now));
        let mut of_name: BTreeMap<String, usize> = BTreeMap::new();
        live.for_each(|member| *of_name.entry(member.identity.name.clone()).or_default() += 1);
        self.by_id.values().map(move |member| MemberStatus {
            identity: member.identity.clone(),
            silent_for: member.silent_for(now),
            lost: member.is_lost(now),
            applied: member.applied.clone(),
            refused: member.refused.clone(),
            behind_for: member.behind_since.map_or(Duration::ZERO, |since| now.saturating_sub(since)),
            same_name: !member.is_lost(now)
                && of_name.get(&member.identity.name).is_some_and(|count| *count > 1),
            elsewhere: matches!(member.presence, Presence::Elsewhere { .. }),
        })
    }

    pub fn has(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// Whether this is a member, and not another one with its id.
    pub fn is(&self, identity: &Identity) -> bool {
        self.by_id.get(&identity.id).is_some_and(|member| member.identity == *identity)
    }

    /// Who the member with this id is.
    pub fn identity_of(&self, id: &str) -> Option<&Identity> {
        self.by_id.get(id).map(|member| &member.identity)
    }

    /// The root of the state that workers with this scope should have.
    pub fn current(&self, scope: &Scope) -> Option<Root> {
        if scope.is_all() { self.current } else { self.parts.get(scope).map(|part| part.state().root()) }
    }

    /// Whether some member has this scope.
    pub fn have(&self, scope: &Scope) -> bool {
        self.by_id.values().any(|member| member.identity.scope == *scope)
    }

    /// The members as Programmed counts them: all, until their time is over. Where worker pods are known, of those in pods these.
    pub fn counted(&self, pods: Option<&WorkerPods>, now: Duration) -> Vec<Counted> {
        let share = |scope: &Scope| match scope.is_all() {
            true => Share::Whole,
            false => Share::Part(self.parts.get(scope).cloned()),
        };
        let counted = |member: &Member| Counted {
            name: member.identity.name.clone(),
            ack: member.applied.clone(),
            lost: member.is_lost(now),
            share: share(&member.identity.scope),
        };
        let Some(pods) = pods else { return self.by_id.values().map(counted).collect() };
        let unheard =
            |pod: &String| Counted { name: pod.clone(), ack: None, lost: true, share: Share::Whole };
        let of_pods =
            pods.ready.iter().map(|pod| self.of_pod(pod, now).map_or_else(|| unheard(pod), counted));
        let doubted = pods.doubted.iter().filter_map(|pod| self.of_pod(pod, now));
        let doubted = doubted.filter(|member| !member.is_lost(now));
        let elsewhere = self.by_id.values().filter(|member| member.identity.pod.is_none());
        of_pods.chain(doubted.chain(elsewhere).map(counted)).collect()
    }

    /// Whether a worker that speaks with this leader has seen more of `source` than `mine`, as one may that had another leader
    /// before: until this leader has seen as much it takes nothing from it (StaleLeader).
    pub fn are_ahead(&self, mine: &AsOf, source: &str, now: Duration) -> bool {
        let of_source = |as_of: &AsOf| {
            let seen = as_of.0.get(source).map(|seen| (source.to_owned(), seen.clone()));
            AsOf(seen.into_iter().collect())
        };
        let is_ahead = |as_of: &AsOf| {
            let is_any = as_of.recency_of(mine) == Recency::Stale;
            is_any && of_source(as_of).recency_of(&of_source(mine)) == Recency::Stale
        };
        let is_here =
            |member: &&Member| !member.is_lost(now) && !matches!(member.presence, Presence::Elsewhere { .. });
        let mut applied = self.by_id.values().filter(is_here).filter_map(|member| member.applied.as_ref());
        applied.any(|applied| is_ahead(&applied.as_of))
    }

    /// The worker of a pod: of several the one that lives, and joined last, as a container may be started anew.
    fn of_pod(&self, pod: &str, now: Duration) -> Option<&Member> {
        let of_pod = self.by_id.values().filter(|member| member.identity.pod.as_deref() == Some(pod));
        of_pod.min_by_key(|member| (member.is_lost(now), Reverse(member.joined)))
    }

    /// Grows with each change of what [`Self::list`] tells, times aside.
    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }

    /// Heard of. False if there is no room for one more, or if it is the id of another client's member or another pod's.
    pub(super) fn seen(&mut self, identity: Identity, now: Duration) -> bool {
        let presence = Presence::Away { since: now };
        if let Some(member) = self.by_id.get_mut(&identity.id) {
            let is_others = |mine: bool, same: bool| mine && !same;
            if is_others(identity.client.is_some(), identity.client == member.identity.client)
                || is_others(identity.pod.is_some(), identity.pod == member.identity.pod)
            {
                return false;
            }
            member.presence = presence;
            let changed = member.shown_lost || member.identity != identity;
            member.shown_lost = false;
            member.identity = identity;
            self.changes += u64::from(changed);
            return true;
        }
        if self.by_id.len() >= MAX_MEMBERS || self.has_its_share(identity.client) {
            return false;
        }
        let (id, current) = (identity.id.clone(), self.current(&identity.scope));
        let member = Member {
            identity,
            joined: now,
            presence,
            shown_lost: false,
            applied: None,
            refused: None,
            behind_since: current.map(|_| now),
        };
        self.by_id.insert(id, member);
        self.changes += 1;
        true
    }

    fn has_its_share(&self, client: Option<usize>) -> bool {
        let of_client = self.by_id.values().filter(|member| member.identity.client == client);
        client.is_some() && of_client.count() >= MAX_MEMBERS_OF_CLIENT
    }

    /// A poll of this member is held now.
    pub(super) fn waits(&mut self, id: &str) {
        self.set_presence(id, Presence::Waiting);
    }

    /// The held poll of this member has ended.
    pub(super) fn left(&mut self, id: &str, now: Duration) {
        self.set_presence(id, Presence::Away { since: now });
    }

    /// An acknowledgement that is behind the one known came late and is dropped.
    pub(super) fn ack(
        &mut self,
        identity: Identity,
        applied: Applied,
        refused: Option<String>,
        now: Duration,
    ) {
        let id = identity.id.clone();
        let current = self.current(&identity.scope);
        if !self.heard(identity, now) {
            return;
        }
        let Some(member) = self.by_id.get_mut(&id) else { return };
        let late = |known: &Applied| known.as_of.recency_of(&applied.as_of) == Recency::Stale;
        if member.applied.as_ref().is_some_and(late) {
            return;
        }
        member.follow(current, Some(applied.root), now);
        if member.applied.as_ref() != Some(&applied) || member.refused != refused {
            member.applied = Some(applied);
            member.refused = refused;
            self.changes += 1;
        }
    }

    /// Heard of otherwise than by a poll: one that is held goes on. False as with [`Self::seen`].
    pub(super) fn heard(&mut self, identity: Identity, now: Duration) -> bool {
        let id = identity.id.clone();
        let before = self.by_id.get(&id).map(|member| member.presence);
        let is_member = self.seen(identity, now);
        if let Some(presence @ (Presence::Waiting | Presence::Local)) = before {
            self.set_presence(&id, presence);
        }
        is_member
    }

    /// Another leader tells that it was heard of so long ago, and what it has. What is known of a later moment counts for more, as
    /// of one that speaks to this leader now.
    pub(super) fn relayed(&mut self, relayed: Relayed, now: Duration) {
        let Relayed { member: identity, applied, silent_for } = relayed;
        let (id, since) = (identity.id.clone(), now.saturating_sub(silent_for));
        let known = self.by_id.get(&id);
        let later = known.map(|member| member.presence).filter(|presence| match presence {
            Presence::Waiting | Presence::Local => true,
            Presence::Away { since: heard } => *heard >= since,
            Presence::Elsewhere { since: heard } => *heard > since,
        });
        if later.is_some() && known.is_some_and(|member| member.applied.is_some()) {
            return;
        }
        match applied {
            Some((applied, refused)) => self.ack(identity, applied, refused, now),
            None => _ = self.heard(identity, now),
        }
        self.set_presence(&id, later.unwrap_or(Presence::Elsewhere { since }));
    }

    /// Another leader tells that this member, of which it told, has left.
    pub(super) fn left_elsewhere(&mut self, id: &str) {
        if self.by_id.get(id).is_some_and(|member| matches!(member.presence, Presence::Elsewhere { .. })) {
            self.forget(id);
        }
    }

    /// All whose scope is everything should have the state with this root now.
    pub(super) fn published(&mut self, root: Root, now: Duration) {
        self.current = Some(root);
        self.follow(&Scope::default(), Some(root), now);
    }

    /// All with this scope should have this state now; `None`: nobody has the scope.
    pub(super) fn narrowed(&mut self, scope: Scope, part: Option<Part>, now: Duration) {
        let root = part.as_ref().map(|part| part.state().root());
        self.follow(&scope, root, now);
        match part {
            Some(part) => self.parts.insert(scope, part),
            None => self.parts.remove(&scope),
        };
        // What these members are counted for may be something else.
        self.changes += 1;
    }

    fn follow(&mut self, scope: &Scope, root: Option<Root>, now: Duration) {
        for member in self.by_id.values_mut().filter(|member| member.identity.scope == *scope) {
            member.follow(root, member.applied.as_ref().map(|applied| applied.root), now);
        }
    }

    pub(super) fn local_ack(
        &mut self,
        identity: Identity,
        applied: Applied,
        refused: Option<String>,
        now: Duration,
    ) {
        let id = identity.id.clone();
        self.ack(identity, applied, refused, now);
        self.set_presence(&id, Presence::Local);
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.changes += u64::from(self.by_id.remove(id).is_some());
    }

    /// Drops who is gone, and takes note of who is lost.
    pub(super) fn sweep(&mut self, now: Duration) {
        let mut newest: BTreeMap<&str, Duration> = BTreeMap::new();
        for member in self.by_id.values() {
            let joined = newest.entry(&member.identity.name).or_default();
            *joined = (*joined).max(member.joined);
        }
        let is_gone = |member: &Member| {
            let silent = member.silent_for(now);
            let last_seen = now.saturating_sub(silent);
            let successor = newest.get(member.identity.name.as_str()).is_some_and(|at| *at > last_seen);
            silent >= MEMBER_TTL || (successor && silent >= SUPERSEDED_AFTER)
        };
        let gone: Vec<String> =
            self.by_id.iter().filter(|(_, member)| is_gone(member)).map(|(id, _)| id.clone()).collect();
        gone.iter().for_each(|id| self.forget(id));
        for member in self.by_id.values_mut() {
            if !member.shown_lost && member.is_lost(now) {
                member.shown_lost = true;
                self.changes += 1;
            }
        }
    }

    fn set_presence(&mut self, id: &str, presence: Presence) {
        if let Some(member) = self.by_id.get_mut(id) {
            member.presence = presence;
        }
    }
}

impl Member {
    /// Whether it is behind, now that this root is current and it has that one.
    fn follow(&mut self, current: Option<Root>, has: Option<Root>, now: Duration) {
        self.behind_since = match current {
            None => None,
            Some(_) if current == has => None,
            Some(_) => self.behind_since.or(Some(now)),
        };
    }

    fn silent_for(&self, now: Duration) -> Duration {
        match self.presence {
            Presence::Local | Presence::Waiting => Duration::ZERO,
            Presence::Away { since } | Presence::Elsewhere { since } => now.saturating_sub(since),
        }
    }

    fn is_lost(&self, now: Duration) -> bool {
        self.silent_for(now) >= LOST_AFTER
    }
}
