use std::collections::BTreeSet;
use std::sync::Arc;

use dataplane_snapshot::Key;

use super::certificates;
use super::certificates::Certificates;
use super::findings::{Field, Findings, problem};
use super::grants::{self, Grants};
use super::model::{Destination, ValidBackend, ValidDestination, ValidMirror, ValidRoute};
use super::planned::{Change, Pass, Planned};
use super::quotas;
use super::secrets::{self, Secrets};
use super::services::{self, Services};
use crate::{Problem, Spec, Unresolved, UnresolvedReason, World};

/// What a backend can name.
#[derive(Clone, Copy)]
pub(super) struct Nameable<'a> {
    pub(super) certificates: Certificates<'a>,
    pub(super) secrets: Secrets<'a>,
    pub(super) services: Services<'a>,
}

impl Nameable<'_> {
    /// What changed since an earlier world, but for certificates.
    pub(super) fn changed(self, earlier: &World) -> BTreeSet<Key> {
        let mut changed = self.services.changed(earlier);
        changed.extend(self.secrets.changed(&earlier.secrets));
        changed.extend(Grants(&self.services.0.grants).changed(&earlier.grants));
        changed
    }

    /// What is wrong with what a backend names. `user` is the object that has it.
    pub(super) fn resolve(
        self,
        backend: &ValidBackend<'_>,
        user: &Key,
        at: &Field<'_>,
    ) -> Vec<(UnresolvedReason, Problem)> {
        let mut found = self.certificates.resolve(backend, user.namespace(), at);
        found.extend(self.secrets.resolve(backend, user.namespace(), at));
        found.extend(self.services.resolve(backend, user, at));
        found
    }
}

/// The keys of all that a backend names, and of what it depends on besides.
pub(super) fn references(backend: &ValidBackend<'_>, user: &Key) -> Vec<Key> {
    let mut references = certificates::references(backend, user.namespace());
    references.extend(secrets::reference(backend, user.namespace()));
    references.extend(services::references(backend, user));
    references
}

/// What a route can refer to.
pub(super) struct Resolver<'a> {
    pub(super) backends: &'a Pass,
    pub(super) nameable: Nameable<'a>,
    pub(super) grants: Grants<'a>,
    /// In order.
    pub(super) listeners: &'a BTreeSet<String>,
}

/// How a Backend or a certificate stands as something to refer to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    /// A certificate without a private key: good to be trusted.
    Keyless,
    Refused,
}

impl Standing {
    pub(super) fn of(planned: &Planned) -> Self {
        match &planned.observed.spec {
            _ if planned.status.accepted.is_err() => Self::Refused,
            Spec::Certificate(certificate) if certificate.key.is_none() => Self::Keyless,
            _ => Self::Good,
        }
    }
}

/// Those that came, went, stand otherwise than before, or are used by others or otherwise: who names them is planned anew.
pub(super) fn restood(changes: &[Change]) -> impl Iterator<Item = Key> {
    let standing = |planned: &Option<Arc<Planned>>| {
        planned.as_deref().map(|planned| {
            let allowed = allowed_namespaces(planned).to_vec();
            (Standing::of(planned), certificates::has_authorities(planned), allowed)
        })
    };
    let changes = changes.iter().filter(move |change| standing(&change.old) != standing(&change.new));
    changes.map(|change| change.key.clone())
}

/// The namespaces whose routes a Backend lets use it.
fn allowed_namespaces(backend: &Planned) -> &[String] {
    match &backend.observed.spec {
        Spec::Backend(spec) => &spec.allowed_namespaces,
        _ => &[],
    }
}

/// All problems under the heaviest of their reasons.
pub(super) fn unresolved(
    found: impl IntoIterator<Item = (UnresolvedReason, Problem)>,
) -> Result<(), Unresolved> {
    let (reasons, problems): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    match reasons.into_iter().min() {
        None => Ok(()),
        Some(reason) => Err(Unresolved { reason, problems }),
    }
}

impl Resolver<'_> {
    pub(super) fn resolve(&self, route: &ValidRoute<'_>, key: &Key) -> Result<(), Unresolved> {
        let ValidRoute { destinations, mirrors, listeners, .. } = route;
        let at = Field::SPEC.name("backends");
        let named = destinations
            .iter()
            .filter_map(|one| self.backend(key, &at.index(one.index).name("ref"), one.reference()?));
        let mut found: Vec<_> = named.collect();
        let missing = |(reason, _): &&(_, Problem)| *reason == UnresolvedReason::BackendNotFound;
        if found.iter().filter(missing).count() < destinations.len() {
            // The others get their share of the requests all the same.
            for (reason, _) in &mut found {
                if *reason == UnresolvedReason::BackendNotFound {
                    *reason = UnresolvedReason::SomeBackendNotFound;
                }
            }
        }
        found.extend(destinations.iter().flat_map(|one| self.inline(one, key)));
        found.extend(mirrors.iter().filter_map(|mirror| self.mirror(key, mirror)));
        let listeners = listeners.iter().enumerate().filter_map(|(index, name)| {
            Some((UnresolvedReason::ListenerNotFound, self.listener(index, name)?))
        });
        unresolved(found.into_iter().chain(listeners))
    }

    fn mirror(&self, route: &Key, mirror: &ValidMirror) -> Option<(UnresolvedReason, Problem)> {
        let at = Field::SPEC.name("filters");
        let at = at.name("requestMirrors");
        let (reason, problem) = self.backend(route, &at.index(mirror.index).name("ref"), &mirror.backend)?;
        let is_missing = reason == UnresolvedReason::BackendNotFound;
        Some((if is_missing { UnresolvedReason::MirrorNotFound } else { reason }, problem))
    }

    /// What an inline backend names.
    fn inline(&self, destination: &ValidDestination<'_>, route: &Key) -> Vec<(UnresolvedReason, Problem)> {
        let Destination::Inline(backend) = &destination.backend else { return Vec::new() };
        let at = Field::SPEC.name("backends");
        let at = at.index(destination.index);
        let at = at.name("inline");
        self.nameable.resolve(backend, route, &at)
    }

    /// Refuses what inline backends can't name at all, and limits that the leaders can't count.
    pub(super) fn check(&self, route: &ValidRoute<'_>, findings: &mut Findings) {
        quotas::check(&route.filters, self.nameable.services.0.separate_stores, findings);
        let at = Field::SPEC.name("backends");
        for destination in &route.destinations {
            if let Destination::Inline(backend) = &destination.backend {
                let at = at.index(destination.index);
                self.nameable.services.check(backend, &at.name("inline"), findings);
            }
        }
    }

    /// What is to be said of inline backends that have pods which get requests though they are called unready.
    pub(super) fn doubted(&self, route: &ValidRoute<'_>, key: &Key) -> Vec<Problem> {
        let at = Field::SPEC.name("backends");
        let of_destination = |destination: &ValidDestination<'_>| match &destination.backend {
            Destination::Inline(backend) => {
                let at = at.index(destination.index);
                self.nameable.services.doubted(backend, key, &at.name("inline"))
            }
            _ => Vec::new(),
        };
        route.destinations.iter().flat_map(of_destination).collect()
    }

    /// Takes out the Backends of other namespaces that the route may not name.
    pub(super) fn withhold(&self, route: &mut ValidRoute<'_>, key: &Key) {
        for destination in &mut route.destinations {
            if destination.reference().is_some_and(|backend| !self.permits(key, backend)) {
                destination.backend = Destination::Withheld;
            }
        }
        route.mirrors.retain(|mirror| self.permits(key, &mirror.backend));
    }

    fn permits(&self, route: &Key, backend: &Key) -> bool {
        let allowed = self.backends.get(backend).map_or(&[][..], |planned| allowed_namespaces(planned));
        allowed.iter().any(|one| one == "*" || one == route.namespace()) || self.grants.permit(route, backend)
    }

    /// `at` is where it is named.
    fn backend(&self, route: &Key, at: &Field<'_>, key: &Key) -> Option<(UnresolvedReason, Problem)> {
        if !self.permits(route, key) {
            let (from, to) = (route.namespace(), key.namespace());
            let message = format!(
                "Routes of namespace {from} may not use Backend {} of namespace {to}: its allowedNamespaces or a \
                 ReferenceGrant there has to allow it",
                key.name()
            );
            return Some((UnresolvedReason::RefNotPermitted, problem(at, message)));
        }
        match self.backends.get(key).map(|planned| Standing::of(planned)) {
            Some(Standing::Good | Standing::Keyless) => None,
            Some(Standing::Refused) => {
                let message = format!("Backend {} isn't accepted: its own status says why", key.name());
                Some((UnresolvedReason::BackendNotAccepted, problem(at, message)))
            }
            None => {
                let (namespace, name) = (key.namespace(), key.name());
                let message = format!("there is no Backend {name} in namespace {namespace}");
                Some((UnresolvedReason::BackendNotFound, problem(at, message)))
            }
        }
    }

    fn listener(&self, index: usize, name: &str) -> Option<Problem> {
        if name.is_empty() || self.listeners.contains(name) {
            return None;
        }
        let known = self.listeners.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let message = format!("there is no listener {name:?}: the settings have {known}");
        Some(problem(&Field::SPEC.name("listeners").index(index), message))
    }
}

/// The Backends that a route names, and what it depends on for those of other namespaces.
pub(super) fn named_backend(backend: &Key, route: &Key) -> impl Iterator<Item = Key> {
    let is_other = backend.namespace() != route.namespace();
    let grants = is_other.then(|| grants::of_namespace(backend.namespace()));
    std::iter::once(backend.clone()).chain(grants)
}
