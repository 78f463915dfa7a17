//! The certificates of what is served, with their private keys, for whatever names them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use dataplane_snapshot::{Key, Kind, Object, ObjectHash, wire};
use sha2::{Digest as _, Sha256};

use crate::{CertifiedKey, PrivateKey};

/// By key. An entry whose objects didn't change is the same from router to router, so that whoever used it can tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certificates(BTreeMap<Key, Arc<Entry>>);

/// What one Certificate and its Secret give.
#[derive(Debug)]
pub(crate) struct Entry {
    hashes: (ObjectHash, Option<ObjectHash>),
    material: Result<Material, String>,
    rejected: Vec<(Key, String)>,
}

#[derive(Debug)]
struct Material {
    chain: Vec<Bytes>,
    certified: Option<Arc<CertifiedKey>>,
    /// Of chain and key.
    digest: [u8; 32],
}

/// A private key with its certificate, or certificates to trust; the digest is of what they are made of.
pub(crate) struct Found<T> {
    pub(crate) found: T,
    pub(crate) digest: [u8; 32],
}

impl Certificates {
    /// Those of the objects; what is the same in `previous` is taken from there. `secrets` are in the order of keys, as
    /// `certificates` are. What is rejected is added to `rejected`.
    pub(crate) fn compile(
        previous: &Self,
        certificates: &[&Object],
        secrets: &[&Object],
        rejected: &mut Vec<(Key, String)>,
    ) -> Self {
        let secret = |certificate: &Key| {
            let wanted = certificate.with_kind(Kind::Secret);
            let found = secrets.binary_search_by(|secret| secret.key().cmp(&wanted));
            found.ok().and_then(|index| secrets.get(index)).copied()
        };
        let entry = |object: &&Object| {
            let secret = secret(object.key());
            let hashes = (*object.hash(), secret.map(|secret| *secret.hash()));
            let same = previous.0.get(object.key()).filter(|entry| entry.hashes == hashes);
            let entry = same.map_or_else(|| Arc::new(Entry::compile(object, secret, hashes)), Arc::clone);
            rejected.extend(entry.rejected.iter().cloned());
            (object.key().clone(), entry)
        };
        Self(certificates.iter().map(entry).collect())
    }

    fn get(&self, key: &Key) -> Option<&Arc<Entry>> {
        self.0.get(key)
    }
}

impl Entry {
    fn compile(
        certificate: &Object,
        secret: Option<&Object>,
        hashes: (ObjectHash, Option<ObjectHash>),
    ) -> Self {
        let mut rejected = Vec::new();
        let mut report = |key: &Key, reason: &String| rejected.push((key.clone(), reason.clone()));
        let key = secret.and_then(|secret| {
            private_key(secret).inspect_err(|reason| report(secret.key(), reason)).unwrap_or_default()
        });
        let name = certificate.key();
        let material = match certificate.decode() {
            Ok(wire::Payload::Held(held)) => Err(held.reason),
            decoded => match decoded {
                Ok(wire::Payload::Certificate(found)) => Material::new(name, found.chain, key),
                Ok(_) => Err("it carries the payload of another kind".to_owned()),
                Err(error) => Err(error.to_string()),
            }
            .inspect_err(|reason| report(name, reason)),
        };
        Self { hashes, material, rejected }
    }
}

impl Material {
    fn new(name: &Key, chain: Vec<Bytes>, key: Option<PrivateKey>) -> Result<Self, String> {
        if chain.is_empty() || chain.iter().any(Bytes::is_empty) {
            return Err("it holds no certificate".to_owned());
        }
        let mut digest = Sha256::new();
        for part in chain.iter().chain(key.as_ref().map(|key| &key.0)) {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.update([u8::from(key.is_some())]);
        let certified = key.map(|key| {
            let (name, chain) = (name.clone(), chain.clone());
            Arc::new(CertifiedKey { name, chain, key })
        });
        Ok(Self { chain, certified, digest: digest.finalize().into() })
    }
}

/// `None` if the leader holds it.
fn private_key(secret: &Object) -> Result<Option<PrivateKey>, String> {
    let no_key = || "it holds no private key".to_owned();
    match secret.decode().map_err(|error| error.to_string())? {
        wire::Payload::Secret(wire::Secret { kind: Some(wire::SecretKind::PrivateKey(der)) })
            if !der.is_empty() =>
        {
            Ok(Some(PrivateKey(der)))
        }
        wire::Payload::Held(_) => Ok(None),
        _ => Err(no_key()),
    }
}

/// Finds certificates for one object and keeps in mind which, so that it is compiled again if one of them changes.
pub(crate) struct Lookup<'c> {
    certificates: &'c Certificates,
    used: Used,
}

/// Certificates that were looked up, and what was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Used(Vec<(Key, Option<Arc<Entry>>)>);

impl Used {
    /// Whether each is still what was found.
    pub(crate) fn is_current(&self, certificates: &Certificates) -> bool {
        self.0.iter().all(|(key, found)| match (found, certificates.get(key)) {
            (Some(found), Some(now)) => Arc::ptr_eq(found, now),
            (found, now) => found.is_none() && now.is_none(),
        })
    }
}

impl<'c> Lookup<'c> {
    pub(crate) fn new(certificates: &'c Certificates) -> Self {
        Self { certificates, used: Used::default() }
    }

    pub(crate) fn into_used(self) -> Used {
        self.used
    }

    /// The certificate with this key, and its private key.
    pub(crate) fn certified(&mut self, key: &str) -> Result<Found<Arc<CertifiedKey>>, String> {
        let (name, material) = self.material(key)?;
        let Some(certified) = &material.certified else {
            return Err(format!(
                "the private key of certificate {name} isn't here: it is sent only over TLS or within one machine"
            ));
        };
        Ok(Found { found: Arc::clone(certified), digest: material.digest })
    }

    /// All certificates of the one with this key.
    pub(crate) fn trusted(&mut self, key: &str) -> Result<Found<Vec<Bytes>>, String> {
        let (_, material) = self.material(key)?;
        Ok(Found { found: material.chain.clone(), digest: material.digest })
    }

    fn material(&mut self, key: &str) -> Result<(String, &'c Material), String> {
        let not_one = || format!("{key:?} is not the key of a certificate");
        let key: Key = key.parse().map_err(|_| not_one())?;
        if key.kind() != Kind::Certificate {
            return Err(not_one());
        }
        let name = key.name().to_owned();
        let found = self.certificates.get(&key);
        self.used.0.push((key, found.cloned()));
        match found.map(|entry| &entry.material) {
            Some(Ok(material)) => Ok((name, material)),
            Some(Err(reason)) => Err(format!("certificate {name} can't be used: {reason}")),
            None => Err(format!("there is no certificate {name}")),
        }
    }
}
