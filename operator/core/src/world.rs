use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use crds::{BackendSpec, RouteSpec};
pub use dataplane_core::PrivateKey;
use dataplane_snapshot::{AsOf, Key, Kind, SharedMap, SourceAsOf};

use crate::{GrantSpec, ServiceSpec, SliceSpec};

/// Who owns an object and may change it. The order is the order of precedence when two claim one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    Kubernetes,
    Files,
    /// Written through the admin API, kept in the state store.
    Store,
}

impl Owner {
    /// In the order of precedence.
    pub const ALL: [Self; 3] = [Self::Kubernetes, Self::Files, Self::Store];

    /// The name of the source in the as-of vector, in logs and in statuses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Files => "files",
            Self::Store => "store",
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One object as a source has it. Sources keep the `Arc` of an object that didn't change: `plan` reuses its results by
/// pointer equality.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    pub key: Key,
    pub spec: Spec,
    pub labels: BTreeMap<String, String>,
    /// `metadata.generation` in Kubernetes; elsewhere a number that the source raises with each change of the object.
    pub generation: i64,
    /// `metadata.uid` in Kubernetes: what is deleted and made anew is another object. Empty where it isn't known.
    pub uid: String,
    pub origin: Origin,
}

/// What an object says, or why it can't be read.
#[derive(Clone, Debug, PartialEq)]
pub enum Spec {
    Backend(Arc<BackendSpec>),
    Route(Arc<RouteSpec>),
    Certificate(Arc<CertificateSpec>),
    Secret(Arc<SecretSpec>),
    Service(Arc<ServiceSpec>),
    Slice(Arc<SliceSpec>),
    Grant(Arc<GrantSpec>),
    /// Its key is known, but it isn't of its type.
    Invalid(Vec<Problem>),
}

/// A certificate, and its private key if the source has it: without one it is for being trusted.
#[derive(Clone, Debug, PartialEq)]
pub struct CertificateSpec {
    /// DER (RFC 5280), the certificate itself first; at least one.
    pub chain: Vec<Bytes>,
    /// The one that the first certificate was made for: the source has compared them.
    pub key: Option<PrivateKey>,
    /// DER of those that are to be trusted in its place; empty: itself.
    pub authorities: Vec<Bytes>,
    /// What the source says of it, which has a clock: that it is expired, for instance.
    pub warnings: Vec<Problem>,
}

/// What only those get to see who are named for it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretSpec {
    /// Never shown.
    pub entries: BTreeMap<String, String>,
}

impl fmt::Debug for SecretSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretSpec")?;
        f.debug_list().entries(self.entries.keys()).finish()
    }
}

/// Where an object came from, for people.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    Kubernetes,
    /// A document of a file; `place` is where the document starts.
    File(Place),
    Store,
}

impl Origin {
    pub const fn owner(&self) -> Owner {
        match self {
            Self::Kubernetes => Owner::Kubernetes,
            Self::File(_) => Owner::Files,
            Self::Store => Owner::Store,
        }
    }
}

/// A place in a file; line and column count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub file: Arc<str>,
    pub line: u64,
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A user's mistake: what is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// For instance `spec.targets[0].port`; empty if it is about the whole object.
    pub field: String,
    /// A sentence without the place.
    pub message: String,
    /// Known at once for what the parser found; for the rest the files source finds it from `field`.
    pub place: Option<Place>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// Objects as they are observed. Who follows them finds what changed by what two maps don't share.
pub type ObservedMap = SharedMap<Key, Arc<Observed>>;

/// All that one source has, complete: what isn't in here doesn't exist.
#[derive(Clone, Debug)]
pub struct SourceView {
    pub owner: Owner,
    pub as_of: SourceAsOf,
    pub objects: ObservedMap,
}

/// A listener, from the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSettings {
    pub name: String,
    /// Empty: all addresses.
    pub address: String,
    pub port: u16,
    /// The port that clients see, if another.
    pub advertised_port: Option<u16>,
    pub protocol: ListenerProtocol,
    /// Connections begin with a header of the PROXY protocol, which is believed.
    pub proxy_protocol: bool,
    /// Clients may speak HTTP/2, too.
    pub http2: bool,
}

impl ListenerSettings {
    /// Clear text on `port` of all addresses, and nothing special.
    pub fn http(name: impl Into<String>, port: u16) -> Self {
        Self {
            name: name.into(),
            address: String::new(),
            port,
            advertised_port: None,
            protocol: ListenerProtocol::Http,
            proxy_protocol: false,
            http2: true,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenerProtocol {
    Http,
    Https(Arc<ListenerTls>),
}

/// TLS towards clients. Certificates are named within the namespace `default`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerTls {
    /// Chosen by server name; the first is for clients that name none that another is for. Empty: all that have a private
    /// key, in the order of their names.
    pub certificates: Vec<String>,
    pub clients: ClientCertificates,
}

/// What is asked of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    #[default]
    Ignored,
    /// A client without a certificate is served, too.
    Optional(ClientTrust),
    Required(ClientTrust),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTrust {
    /// What certificates of clients are, or are signed by; at least one.
    pub authorities: Vec<String>,
    /// Targets get the client's certificate in the header `Client-Cert` (RFC 9440).
    pub forwarded: bool,
}

/// Everything that `plan` looks at.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub listeners: Arc<Vec<ListenerSettings>>,
    pub backends: ObservedMap,
    pub routes: ObservedMap,
    pub certificates: ObservedMap,
    pub secrets: ObservedMap,
    pub services: ObservedMap,
    /// By [`slice_key`](crate::slice_key).
    pub slices: ObservedMap,
    pub grants: ObservedMap,
    /// There is an API server, whose Services can be followed.
    pub has_cluster: bool,
    /// How many leaders there are with a state store of their own each. At most 1: what one has counted, all know.
    pub separate_stores: u32,
    /// Objects whose key a source of higher precedence claims too, by key and owner.
    pub conflicts: SharedMap<(Key, Owner), Claim>,
    pub as_of: AsOf,
    /// What was joined.
    views: BTreeMap<Owner, ObservedMap>,
}

/// An object that lost its key to another source.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    pub loser: Arc<Observed>,
    pub winner: Owner,
}

impl World {
    /// Joins complete views, at most one of each owner. A key claimed twice goes kubernetes > files > store.
    pub fn join<'a>(
        listeners: Arc<Vec<ListenerSettings>>,
        views: impl IntoIterator<Item = &'a SourceView>,
    ) -> Self {
        Self::default().follow(listeners, views)
    }

    /// The same as [`Self::join`], made from an earlier world: costs what differs from that.
    pub fn follow<'a>(
        &self,
        listeners: Arc<Vec<ListenerSettings>>,
        views: impl IntoIterator<Item = &'a SourceView>,
    ) -> Self {
        let mut next = Self { listeners, as_of: AsOf::default(), views: BTreeMap::new(), ..self.clone() };
        for view in views {
            next.as_of.0.insert(view.owner.to_string(), view.as_of.clone());
            next.views.insert(view.owner, view.objects.clone());
        }
        next.has_cluster = next.views.contains_key(&Owner::Kubernetes);
        let none = ObservedMap::new();
        for owner in Owner::ALL {
            let before = self.views.get(&owner).unwrap_or(&none);
            let now = next.views.get(&owner).cloned().unwrap_or_default();
            if next.is_without_objects() {
                // The usual case at the start, one source, in one go: several times as fast as one by one.
                next.take(&now);
                continue;
            }
            for (key, _, _) in before.differences(&now, Arc::ptr_eq) {
                next.settle(key);
            }
        }
        next
    }

    fn is_without_objects(&self) -> bool {
        let own = [&self.backends, &self.routes, &self.certificates, &self.secrets];
        let of_cluster = [&self.services, &self.slices, &self.grants];
        own.into_iter().chain(of_cluster).all(SharedMap::is_empty) && self.conflicts.is_empty()
    }

    fn take(&mut self, objects: &ObservedMap) {
        for kind in Kind::ALL {
            let first = Key::new(kind, "", "");
            let of_kind = objects.range_from(&first).take_while(|(key, _)| key.kind() == kind);
            let of_kind = of_kind.map(|(key, observed)| (key.clone(), observed.clone()));
            if let Some(place) = self.of_kind(kind) {
                *place = of_kind.collect();
            }
        }
    }

    /// Gives a key to the source of the highest precedence that claims it.
    fn settle(&mut self, key: &Key) {
        let mut claims =
            self.views.iter().filter_map(|(owner, objects)| Some((*owner, objects.get(key)?.clone())));
        let winner = claims.next();
        let losers: Vec<_> = claims.collect();
        let Some(objects) = self.of_kind(key.kind()) else { return };
        let winner = match winner {
            Some((owner, observed)) => {
                objects.insert(key.clone(), observed);
                Some(owner)
            }
            None => {
                objects.remove(key);
                None
            }
        };
        for owner in Owner::ALL {
            let lost = losers.iter().find(|(loser, _)| *loser == owner);
            let at = (key.clone(), owner);
            match (lost, winner) {
                (Some((_, loser)), Some(winner)) => {
                    self.conflicts.insert(at, Claim { loser: loser.clone(), winner });
                }
                _ => {
                    self.conflicts.remove(&at);
                }
            }
        }
    }

    /// `None`: sources have no objects of this kind.
    const fn of_kind(&mut self, kind: Kind) -> Option<&mut ObservedMap> {
        match kind {
            Kind::Backend => Some(&mut self.backends),
            Kind::Route => Some(&mut self.routes),
            Kind::Certificate => Some(&mut self.certificates),
            Kind::Secret => Some(&mut self.secrets),
            Kind::Service => Some(&mut self.services),
            Kind::Slice => Some(&mut self.slices),
            Kind::Grant => Some(&mut self.grants),
            Kind::Listener | Kind::Endpoints | Kind::Limit | Kind::Unknown => None,
        }
    }
}
