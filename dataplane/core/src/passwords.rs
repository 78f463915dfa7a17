//! The passwords of what is served, for the backends that name them.

use dataplane_snapshot::{Key, Kind, Object, ObjectHash, wire};

/// Finds passwords among the secrets, which are in the order of keys, and keeps in mind which, so that a backend is compiled
/// again if one of them changes.
#[derive(Default)]
pub(crate) struct Passwords<'o> {
    secrets: &'o [&'o Object],
    used: UsedPasswords,
}

/// Secrets that were looked up, and what was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct UsedPasswords(Vec<(Key, Option<ObjectHash>)>);

impl UsedPasswords {
    /// Whether each is still what was found.
    pub(crate) fn are_current(&self, secrets: &[&Object]) -> bool {
        self.0.iter().all(|(key, hash)| find(secrets, key).map(Object::hash) == hash.as_ref())
    }
}

impl<'o> Passwords<'o> {
    pub(crate) fn new(secrets: &'o [&'o Object]) -> Self {
        Self { secrets, used: UsedPasswords::default() }
    }

    pub(crate) fn into_used(self) -> UsedPasswords {
        self.used
    }

    /// The password with this key. Fails with a sentence.
    pub(crate) fn find(&mut self, key: &str) -> Result<Box<str>, String> {
        let not_one = || format!("{key:?} is not the key of a password");
        let key: Key = key.parse().map_err(|_| not_one())?;
        if key.kind() != Kind::Secret {
            return Err(not_one());
        }
        let found = find(self.secrets, &key);
        self.used.0.push((key, found.map(|object| *object.hash())));
        let Some(object) = found else {
            return Err("its password isn't here: it is sent only over TLS or within one machine".to_owned());
        };
        match object.decode().map_err(|error| error.to_string())? {
            wire::Payload::Secret(wire::Secret { kind: Some(wire::SecretKind::Password(password)) }) => {
                Ok(password.into())
            }
            wire::Payload::Held(held) => Err(held.reason),
            _ => Err("what should be its password is something else".to_owned()),
        }
    }
}

fn find<'o>(secrets: &[&'o Object], key: &Key) -> Option<&'o Object> {
    let index = secrets.binary_search_by(|object| object.key().cmp(key)).ok()?;
    secrets.get(index).copied()
}
