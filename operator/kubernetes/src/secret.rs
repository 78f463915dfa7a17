//! Secrets of a cluster become certificates and secrets of the World. Pure: time is an argument.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_snapshot::{Key, Kind};
use k8s_openapi::ByteString;
use kube::api::DynamicObject;
use operator_core::{CertificateSpec, Observed, Origin, Problem, SecretSpec, Spec};
use serde::Deserialize;

/// The type of Secrets that have a certificate and its private key.
const TLS: &str = "kubernetes.io/tls";
const CERTIFICATE: &str = "tls.crt";
const PRIVATE_KEY: &str = "tls.key";
/// Where cert-manager and others put the certificates that sign.
const AUTHORITIES: &str = "ca.crt";

/// A Secret as far as it is looked at. It is never printed.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Entries {
    data: BTreeMap<String, ByteString>,
    #[serde(rename = "type")]
    type_: String,
}

/// What a Secret gives. `now` is as in the GeneralizedTime of X.509: `20260131235959Z`.
pub(crate) fn read(namespace: &str, name: &str, object: &DynamicObject, now: &str) -> Vec<Arc<Observed>> {
    let entries = Entries::deserialize(&object.data).unwrap_or_default();
    let observed = |kind, spec| {
        let key = Key::new(kind, namespace, name);
        Arc::new(Observed {
            key,
            spec,
            labels: BTreeMap::new(),
            generation: 0,
            uid: String::new(),
            origin: Origin::Kubernetes,
        })
    };
    let certificate = certificate(&entries, now).map(|read| {
        let spec = read
            .map_or_else(|problem| Spec::Invalid(vec![problem]), |spec| Spec::Certificate(Arc::new(spec)));
        observed(Kind::Certificate, spec)
    });
    let secret =
        (entries.type_ != TLS).then(|| observed(Kind::Secret, Spec::Secret(Arc::new(texts(&entries)))));
    certificate.into_iter().chain(secret).collect()
}

/// `None` if it has none. One that has only signers is a certificate to be trusted.
fn certificate(entries: &Entries, now: &str) -> Option<Result<CertificateSpec, Problem>> {
    let entry = |name: &str| entries.data.get(name).map(|bytes| bytes.0.as_slice());
    let pem = |certificate, text, key| {
        operator_files::certificate_of_pem([certificate, PRIVATE_KEY], text, key, now).map_err(without_place)
    };
    match (entry(CERTIFICATE), entry(AUTHORITIES)) {
        (Some(certificate), authorities) => {
            Some(pem(CERTIFICATE, certificate, entry(PRIVATE_KEY)).and_then(|spec| {
                let authorities = authorities.filter(|text| !text.is_empty());
                let authorities = authorities.map(|text| pem(AUTHORITIES, text, None)).transpose()?;
                Ok(CertificateSpec {
                    authorities: authorities.map(|of| of.chain).unwrap_or_default(),
                    ..spec
                })
            }))
        }
        (None, Some(authorities)) => Some(pem(AUTHORITIES, authorities, None)),
        (None, None) => None,
    }
}

/// An entry is no file: its name says where something is wrong.
fn without_place(problem: Problem) -> Problem {
    let field = problem.place.map(|place| place.file.to_string()).unwrap_or_default();
    Problem { field, place: None, ..problem }
}

/// The entries that are text, without the line end that editors put behind it; nobody can name another one as a password.
fn texts(entries: &Entries) -> SecretSpec {
    let text = |(name, bytes): (&String, &ByteString)| {
        let text = std::str::from_utf8(&bytes.0).ok()?;
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        Some((name.clone(), text.to_owned()))
    };
    SecretSpec { entries: entries.data.iter().filter_map(text).collect() }
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
