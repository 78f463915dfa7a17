//! Certificates with their private keys, and who names them.

use std::sync::Arc;

use dataplane_snapshot::{Key, Kind, Object, wire};

use super::findings::{Field, Findings, problem};
use super::model::{ValidBackend, ValidTargetTls};
use super::objects::{sized, status, unreadable};
use super::planned::{Pass, Planned};
use super::resolve::Standing;
use super::{translate, validate};
use crate::conditions::joined;
use crate::{Acceptance, CertificateSpec, ObjectStatus, Observed, Owner, Problem, Spec, UnresolvedReason};

pub(super) fn certificate(key: &Key, observed: &Arc<Observed>) -> Planned {
    let spec = match &observed.spec {
        Spec::Certificate(spec) => spec,
        other => return unreadable(key, observed, other),
    };
    let mut findings = Findings::default();
    validate::key(key, &mut findings);
    let is_key_good = findings.is_empty();
    let objects = if is_key_good { objects(key, observed, spec) } else { Vec::new() };
    sized(&objects, &mut findings);
    let refusal = findings.into_refusal();
    let objects = match &refusal {
        Some(refusal) if is_key_good => {
            vec![translate::held(key, &observed.labels, &refusal.problems, None)]
        }
        _ => objects,
    };
    let accepted = refusal.map_or(Ok(Acceptance::Active), Err);
    let status =
        ObjectStatus { warnings: spec.warnings.clone(), ..status(key, observed, accepted, &objects) };
    Planned {
        observed: observed.clone(),
        objects,
        status: Arc::new(status),
        references: Vec::new(),
        footprints: Vec::new(),
    }
}

/// The private key is an object of its own: not every worker is sent it. So are authorities, as only who trusts needs them.
fn objects(key: &Key, observed: &Observed, spec: &CertificateSpec) -> Vec<Object> {
    let certificate = wire::Payload::Certificate(wire::Certificate { chain: spec.chain.clone() });
    let secret = spec.key.as_ref().map(|private| {
        let kind = Some(wire::SecretKind::PrivateKey(private.0.clone()));
        let secret = wire::Payload::Secret(wire::Secret { kind });
        translate::object(key.with_kind(Kind::Secret), &observed.labels, secret)
    });
    let authorities = (!spec.authorities.is_empty()).then(|| {
        let authorities = wire::Certificate { chain: spec.authorities.clone() };
        let authorities = wire::Payload::Certificate(authorities);
        translate::object(key.authorities(), &observed.labels, authorities)
    });
    let certificate = translate::object(key.clone(), &observed.labels, certificate);
    std::iter::once(certificate).chain(secret).chain(authorities).collect()
}

/// All certificates, for those who name them.
#[derive(Clone, Copy)]
pub(super) struct Certificates<'a>(pub(super) &'a Pass);

impl Certificates<'_> {
    /// What is wrong with the certificates that the backend's targets name; they are in its own namespace.
    pub(super) fn resolve(
        self,
        backend: &ValidBackend<'_>,
        namespace: &str,
        at: &Field<'_>,
    ) -> Vec<(UnresolvedReason, Problem)> {
        let at = at.name("targets");
        let mut found = Vec::new();
        for (index, target) in backend.targets.iter().enumerate() {
            let Some(tls) = &target.tls else { continue };
            let at = at.index(index);
            let at = at.name("tlsConfig");
            for (field, names, needs_key) in
                [("certs", tls.certs, true), ("trustedCerts", tls.trusted_certs, false)]
            {
                let at = at.name(field);
                let of = |(index, name): (usize, &String)| {
                    self.reference(name, namespace, needs_key, &at.index(index))
                };
                found.extend(names.iter().enumerate().filter_map(of));
            }
        }
        found
    }

    fn reference(
        self,
        name: &str,
        namespace: &str,
        needs_key: bool,
        at: &Field<'_>,
    ) -> Option<(UnresolvedReason, Problem)> {
        let key = Key::new(Kind::Certificate, namespace, name);
        let (reason, message) = match self.0.get(&key).map(|planned| Standing::of(planned)) {
            Some(Standing::Good) => return None,
            Some(Standing::Keyless) if !needs_key => return None,
            Some(Standing::Keyless) => (
                UnresolvedReason::CertificateNotFound,
                format!(
                    "certificate {name} has no private key: put the file {name}.key beside {name}.crt, or make the Secret \
                     one of type kubernetes.io/tls"
                ),
            ),
            Some(Standing::Refused) => {
                let why = self.0.get(&key).and_then(|planned| planned.status.accepted.as_ref().err());
                let why = why.map(|refusal| joined(&refusal.problems)).unwrap_or_default();
                let message = format!("certificate {name} isn't accepted: {why}");
                (UnresolvedReason::CertificateNotAccepted, message)
            }
            None => (
                UnresolvedReason::CertificateNotFound,
                format!(
                    "there is no certificate {name} in namespace {namespace}: create a Secret with tls.crt or ca.crt, or \
                     put the file {name}.crt into the folder certificates of the resources"
                ),
            ),
        };
        Some((reason, problem(at, message)))
    }

    /// The key of what is trusted for the certificate of this key.
    pub(super) fn trusted(self, key: Key) -> Key {
        let planned = self.0.get(&key);
        if planned.is_some_and(|planned| has_authorities(planned)) { key.authorities() } else { key }
    }

    /// The keys of the certificates in `namespace` that have a private key, in the order of their names. A Secret of a cluster
    /// is none of them: it is read because somebody names it for something else.
    pub(super) fn certified(self, namespace: &str) -> Vec<Key> {
        let is_certified = |planned: &&Arc<Planned>| {
            planned.key().namespace() == namespace
                && planned.observed.origin.owner() != Owner::Kubernetes
                && Standing::of(planned) == Standing::Good
        };
        self.0.values().filter(is_certified).map(|planned| planned.key().clone()).collect()
    }
}

/// Whether others are to be trusted in its place.
pub(super) fn has_authorities(planned: &Planned) -> bool {
    match &planned.observed.spec {
        Spec::Certificate(certificate) => !certificate.authorities.is_empty(),
        _ => false,
    }
}

/// The keys of the certificates that a backend's targets name.
pub(super) fn references(backend: &ValidBackend<'_>, namespace: &str) -> Vec<Key> {
    let tls = backend.targets.iter().filter_map(|target| target.tls.as_ref());
    tls.flat_map(ValidTargetTls::names).map(|name| Key::new(Kind::Certificate, namespace, &**name)).collect()
}
