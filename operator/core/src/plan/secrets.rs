//! Secrets, and the passwords that backends take from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_snapshot::{Key, Kind};

use super::findings::{Field, problem};
use super::model::{Password, ValidBackend};
use super::validate;
use crate::{ObservedMap, Problem, Spec, UnresolvedReason};

/// All secrets, for those who name their entries. They are nothing that workers get as they are.
#[derive(Clone, Copy)]
pub(super) struct Secrets<'a>(pub(super) &'a ObservedMap);

impl<'a> Secrets<'a> {
    /// Those that came, went or changed: who names them is planned anew.
    pub(super) fn changed(self, earlier: &'a ObservedMap) -> impl Iterator<Item = Key> + use<'a> {
        earlier.differences(self.0, Arc::ptr_eq).map(|(key, _, _)| key.clone())
    }

    /// The password for a backend's forward proxy. `None` if it has none, or if it isn't there.
    pub(super) fn password(self, backend: &ValidBackend<'a>, namespace: &str) -> Option<&'a str> {
        match backend.proxy.as_ref()?.password? {
            Password::Inline(password) => Some(password),
            Password::Entry { name, key } => self.entry(namespace, name)?.get(key).map(String::as_str),
        }
    }

    /// What is wrong with the password that a backend takes from a secret; it is in its own namespace.
    pub(super) fn resolve(
        self,
        backend: &ValidBackend<'_>,
        namespace: &str,
        at: &Field<'_>,
    ) -> Option<(UnresolvedReason, Problem)> {
        let proxy = backend.proxy.as_ref()?;
        let Some(Password::Entry { name, key }) = proxy.password else { return None };
        let at = at.name("client");
        let at = at.name("proxy");
        let at = at.name("passwordSecret");
        let missing =
            |field, message| Some((UnresolvedReason::SecretNotFound, problem(&at.name(field), message)));
        let Some(entries) = self.entry(namespace, name) else {
            let message = format!(
                "there is no secret {name} in namespace {namespace}: create a Secret of type Opaque with the entry {key}, \
                 or put the file secrets/{name}/{key} into the folder of the resources"
            );
            return missing("name", message);
        };
        let Some(password) = entries.get(key) else {
            let message = format!(
                "secret {name} has no entry {key} that is text: put it into the Secret, or the file {key} into the folder \
                 secrets/{name}"
            );
            return missing("key", message);
        };
        let error = validate::credentials(proxy.protocol, proxy.principal, password).err()?;
        Some((UnresolvedReason::SecretNotAccepted, problem(&at, error.to_string())))
    }

    fn entry(self, namespace: &str, name: &str) -> Option<&'a BTreeMap<String, String>> {
        match &self.0.get(&Key::new(Kind::Secret, namespace, name))?.spec {
            Spec::Secret(secret) => Some(&secret.entries),
            _ => None,
        }
    }
}

/// The key of the secret that a backend takes its password from.
pub(super) fn reference(backend: &ValidBackend<'_>, namespace: &str) -> Option<Key> {
    match backend.proxy.as_ref()?.password? {
        Password::Inline(_) => None,
        Password::Entry { name, .. } => Some(Key::new(Kind::Secret, namespace, name)),
    }
}
