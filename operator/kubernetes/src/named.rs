//! Which Secrets are named: only these are read.

use std::collections::BTreeMap;

use crds::{BackendSpec, Target};
use operator_core::{Observed, Spec};

/// A Secret by its namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretName {
    pub namespace: String,
    pub name: String,
}

/// How often each Secret is named.
#[derive(Debug, Default)]
pub(crate) struct Named {
    counts: BTreeMap<SecretName, usize>,
    /// Raised whenever there is another name, or one less.
    edition: u64,
}

impl Named {
    pub(crate) fn add(&mut self, name: SecretName) {
        let count = self.counts.entry(name).or_default();
        self.edition += u64::from(*count == 0);
        *count += 1;
    }

    /// Whether nobody names it any more.
    pub(crate) fn remove(&mut self, name: &SecretName) -> bool {
        let Some(count) = self.counts.get_mut(name) else { return false };
        *count = count.saturating_sub(1);
        let is_gone = *count == 0;
        if is_gone {
            self.counts.remove(name);
            self.edition += 1;
        }
        is_gone
    }

    pub(crate) fn contains(&self, name: &SecretName) -> bool {
        self.counts.contains_key(name)
    }

    pub(crate) const fn edition(&self) -> u64 {
        self.edition
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &SecretName> {
        self.counts.keys()
    }
}

/// The Secrets that an object names, which are in its own namespace; one may come more than once.
pub(crate) fn named_by(observed: &Observed) -> Vec<SecretName> {
    let names: Vec<&String> = match &observed.spec {
        Spec::Backend(backend) => of_backend(backend).collect(),
        Spec::Route(route) => {
            let inline = route.backends.iter().filter_map(|backend| backend.inline.as_ref());
            inline.flat_map(of_backend).collect()
        }
        _ => Vec::new(),
    };
    let namespace = observed.key.namespace();
    names.into_iter().map(|name| SecretName { namespace: namespace.to_owned(), name: name.clone() }).collect()
}

fn of_backend(backend: &BackendSpec) -> impl Iterator<Item = &String> {
    let proxy = backend.client.proxy.as_ref();
    let password = proxy.and_then(|proxy| proxy.password_secret.as_ref()).map(|entry| &entry.name);
    backend.targets.iter().flat_map(of_target).chain(password)
}

/// What isn't enabled counts for nothing, and isn't read.
fn of_target(target: &Target) -> impl Iterator<Item = &String> {
    let tls = Some(&target.tls_config).filter(|tls| target.tls && tls.enabled);
    tls.into_iter().flat_map(|tls| tls.certs.iter().chain(&tls.trusted_certs))
}
