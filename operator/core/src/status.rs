use std::sync::Arc;

use dataplane_snapshot::wire::Endpoints;
use dataplane_snapshot::{Key, SharedMap};

use crate::reports::as_told;
use crate::{Owner, Problem};

/// The status of every object by its key. An unchanged status keeps its `Arc` from pass to pass.
pub type Statuses = SharedMap<Key, Arc<ObjectStatus>>;

/// What `plan` made of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectStatus {
    pub key: Key,
    pub owner: Owner,
    /// The generation that this is about.
    pub generation: i64,
    /// As [`Observed`](crate::Observed) has it.
    pub uid: String,
    pub accepted: Result<Acceptance, Refusal>,
    pub resolved_refs: Result<(), Unresolved>,
    /// What works but is hardly meant.
    pub warnings: Vec<Problem>,
    /// Routes: the matches whose requests another route takes first.
    pub overlaps: Vec<Problem>,
    /// The keys that it gave to the snapshot, also when they are held.
    pub objects: Vec<Key>,
    /// Of each backend that it gave to the snapshot as it is written: a Backend of itself, a Route of its inline ones.
    pub targets: Vec<Targets>,
    /// Routes that are planned as they are written: where requests go. What gets none of them, for its weight of 0, isn't here.
    pub destinations: Vec<Key>,
    /// The Backends that such a Route names, for requests or for copies of them.
    pub backends: Vec<Key>,
}

/// The targets of one backend as workers get them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    pub backend: Key,
    /// It has a health check that is switched on.
    pub are_checked: bool,
    /// As workers name them in reports, in order.
    pub ids: Vec<Box<str>>,
}

impl Targets {
    pub(crate) fn new(backend: Key, are_checked: bool, endpoints: &Endpoints) -> Self {
        let mut ids: Vec<Box<str>> =
            endpoints.targets.iter().map(|target| as_told(&target.id).into()).collect();
        ids.sort_unstable();
        Self { backend, are_checked, ids }
    }

    pub fn has(&self, id: &str) -> bool {
        self.ids.binary_search_by(|own| (**own).cmp(id)).is_ok()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    Active,
    /// Good, but switched off by `enabled: false`: it gives no object.
    Disabled,
}

/// Why an object isn't used as it is written, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: RefusalReason,
    pub problems: Vec<Problem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    Invalid,
    /// Every problem is a property that a later version will support.
    NotSupportedYet,
    /// A source of higher precedence has an object with this key.
    Conflict,
}

/// Which references lead nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    pub reason: UnresolvedReason,
    pub problems: Vec<Problem>,
}

/// In the order of weight: the first that applies is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnresolvedReason {
    /// None of its backends exists, and the route is held: without a backend it can't be planned.
    BackendNotFound,
    /// A certificate, or its private key, doesn't exist, and who names it is held.
    CertificateNotFound,
    /// A secret, or its entry, doesn't exist, and who names it is held.
    SecretNotFound,
    /// The entry of a secret can't be used for what it is named for, and who names it is held.
    SecretNotAccepted,
    /// Something of another namespace may not be named from here: it gets no requests, also where it did before. What else
    /// the object names is used.
    RefNotPermitted,
    /// A Service doesn't exist: there are no pods, and those that it had may be others' by now, so they get no requests. The
    /// other targets do.
    ServiceNotFound,
    /// A Service has no such port, which is the same as if it had no pods.
    PortNotFound,
    /// Others of its backends exist: the route is planned, and the requests that are this one's share are answered with 503.
    SomeBackendNotFound,
    /// A backend that should get copies doesn't exist: the route is planned, and nothing is copied there.
    MirrorNotFound,
    /// The backend exists but is refused; the route is planned, and answers by the backend's last good version or 503.
    BackendNotAccepted,
    /// The certificate exists but is refused; who names it is planned, and goes by its last good version.
    CertificateNotAccepted,
    /// The route is planned for the listeners that exist.
    ListenerNotFound,
}

impl ObjectStatus {
    /// Whether `uid` is that of another object with the same key; one that isn't known may be the same.
    pub fn is_of_another(&self, uid: &str) -> bool {
        !self.uid.is_empty() && !uid.is_empty() && self.uid != uid
    }

    /// Whether the snapshot has it as [`Held`](dataplane_snapshot::wire::Held) instead of as it is written.
    pub fn is_held(&self) -> bool {
        let unresolved = self.resolved_refs.as_ref().err();
        let is_held =
            self.accepted.is_err() || unresolved.is_some_and(|unresolved| unresolved.reason.holds());
        !self.objects.is_empty() && is_held
    }
}

impl RefusalReason {
    /// The `reason` of the condition.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "Invalid",
            Self::NotSupportedYet => "NotSupportedYet",
            Self::Conflict => "Conflict",
        }
    }
}

impl UnresolvedReason {
    /// Whether the object can't be planned for it.
    pub const fn holds(self) -> bool {
        matches!(
            self,
            Self::BackendNotFound
                | Self::CertificateNotFound
                | Self::SecretNotFound
                | Self::SecretNotAccepted
        )
    }

    /// The `reason` of the condition.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BackendNotFound | Self::SomeBackendNotFound | Self::MirrorNotFound => "BackendNotFound",
            Self::BackendNotAccepted => "BackendNotAccepted",
            Self::CertificateNotFound => "CertificateNotFound",
            Self::CertificateNotAccepted => "CertificateNotAccepted",
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretNotAccepted => "SecretNotAccepted",
            Self::ListenerNotFound => "ListenerNotFound",
            Self::RefNotPermitted => "RefNotPermitted",
            Self::ServiceNotFound => "ServiceNotFound",
            Self::PortNotFound => "PortNotFound",
        }
    }
}
