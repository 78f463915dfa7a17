use std::collections::BTreeSet;

use dataplane_snapshot::Key;

use super::certificates::Certificates;
use super::findings::{Field, problem};
use super::model::{Destination, ValidDestination, ValidMirror, ValidRoute};
use super::planned::{Change, Pass, Planned};
use super::secrets::Secrets;
use crate::{Problem, Spec, Unresolved, UnresolvedReason};

/// What a route can refer to.
pub(super) struct Resolver<'a> {
    pub(super) backends: &'a Pass,
    pub(super) certificates: Certificates<'a>,
    pub(super) secrets: Secrets<'a>,
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

/// Those that came, went, or stand otherwise than before: who names them is resolved anew.
pub(super) fn restood(changes: &[Change]) -> impl Iterator<Item = Key> {
    let standing = |planned: &Option<_>| planned.as_deref().map(Standing::of);
    let changes = changes.iter().filter(move |change| standing(&change.old) != standing(&change.new));
    changes.map(|change| change.key.clone())
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
    pub(super) fn resolve(&self, route: &ValidRoute<'_>, namespace: &str) -> Result<(), Unresolved> {
        let ValidRoute { destinations, mirrors, listeners, .. } = route;
        let at = Field::SPEC.name("backends");
        let named = destinations
            .iter()
            .filter_map(|one| self.backend(&at.index(one.index).name("ref"), one.reference()?));
        let mut found: Vec<_> = named.collect();
        let missing = |(reason, _): &&(_, Problem)| *reason == UnresolvedReason::BackendNotFound;
        if found.iter().filter(missing).count() < destinations.len() {
            // The others get their share of the requests all the same.
            for (reason, _) in &mut found {
                *reason = (*reason).max(UnresolvedReason::SomeBackendNotFound);
            }
        }
        found.extend(destinations.iter().flat_map(|one| self.inline(one, namespace)));
        found.extend(mirrors.iter().filter_map(|mirror| self.mirror(mirror)));
        let listeners = listeners.iter().enumerate().filter_map(|(index, name)| {
            Some((UnresolvedReason::ListenerNotFound, self.listener(index, name)?))
        });
        unresolved(found.into_iter().chain(listeners))
    }

    fn mirror(&self, mirror: &ValidMirror) -> Option<(UnresolvedReason, Problem)> {
        let at = Field::SPEC.name("filters");
        let at = at.name("requestMirrors");
        let (reason, problem) = self.backend(&at.index(mirror.index).name("ref"), &mirror.backend)?;
        let is_missing = reason == UnresolvedReason::BackendNotFound;
        Some((if is_missing { UnresolvedReason::MirrorNotFound } else { reason }, problem))
    }

    /// What an inline backend names.
    fn inline(
        &self,
        destination: &ValidDestination<'_>,
        namespace: &str,
    ) -> Vec<(UnresolvedReason, Problem)> {
        let Destination::Inline(backend) = &destination.backend else { return Vec::new() };
        let at = Field::SPEC.name("backends");
        let at = at.index(destination.index);
        let at = at.name("inline");
        let mut found = self.certificates.resolve(backend, namespace, &at);
        found.extend(self.secrets.resolve(backend, namespace, &at));
        found
    }

    /// `at` is where it is named.
    fn backend(&self, at: &Field<'_>, key: &Key) -> Option<(UnresolvedReason, Problem)> {
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
