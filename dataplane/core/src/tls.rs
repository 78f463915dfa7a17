//! TLS as the objects say it, ready for whoever opens connections. Nothing here knows cryptography.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use dataplane_snapshot::{Key, wire};
use sha2::{Digest as _, Sha256};

use crate::certificates::{Found, Lookup};

/// What distinguishes one set of TLS settings from another: two with the same contents have the same identity, in every
/// process. Connections that were opened by other settings can't stand in for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TlsIdentity(pub [u8; 16]);

/// A certificate with the private key that it was made for.
#[derive(Debug, PartialEq, Eq)]
pub struct CertifiedKey {
    pub name: Key,
    /// DER, the certificate itself first; at least one.
    pub chain: Vec<Bytes>,
    pub key: PrivateKey,
}

/// A private key in DER: PKCS #8 (RFC 5958), PKCS #1 (RFC 8017) or SEC 1 (RFC 5915). Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(pub Bytes);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// TLS towards a target.
#[derive(Debug, PartialEq, Eq)]
pub struct TargetTls {
    pub identity: TlsIdentity,
    /// Shown to a target that asks for one: the first that fits.
    pub client_certificates: Vec<Arc<CertifiedKey>>,
    /// DER. What the target's certificate is, or is signed by; empty: the roots that the worker's system trusts.
    pub trusted: Vec<Bytes>,
    /// Neither chain nor host name is verified.
    pub trust_all: bool,
}

/// TLS towards clients.
#[derive(Debug, PartialEq, Eq)]
pub struct ListenerTls {
    pub identity: TlsIdentity,
    /// Chosen by server name; the first is for clients that name none, or none that any is for. At least one.
    pub certificates: Vec<Arc<CertifiedKey>>,
    pub clients: ClientCertificates,
}

/// What is asked of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Nothing.
    Ignored,
    /// A certificate, and a client without one is served, too.
    Optional(ClientTrust),
    Required(ClientTrust),
}

/// Which certificates of clients are taken, and whether targets see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTrust {
    /// DER; at least one.
    pub authorities: Vec<Bytes>,
    /// Targets get the client's certificate in the header `Client-Cert` (RFC 9440).
    pub forwarded: bool,
}

impl TargetTls {
    /// As a target without any settings of its own: its certificate is verified by what the worker's system trusts.
    pub(crate) fn of_the_system() -> Self {
        let identity = identity(Sha256::new_with_prefix("system"));
        Self { identity, client_certificates: Vec::new(), trusted: Vec::new(), trust_all: false }
    }

    /// Of settings that aren't those of a backend; see the fields.
    pub fn new(client_certificates: Vec<Arc<CertifiedKey>>, trusted: Vec<Bytes>, trust_all: bool) -> Self {
        let mut digest = Sha256::new_with_prefix("settings");
        let of_own = client_certificates.iter().flat_map(|own| own.chain.iter().chain([&own.key.0]));
        for bytes in of_own.chain(&trusted) {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        }
        digest.update([u8::from(trust_all)]);
        Self { identity: identity(digest), client_certificates, trusted, trust_all }
    }

    pub(crate) fn compile(tls: &wire::TargetTls, lookup: &mut Lookup<'_>) -> Result<Self, String> {
        let mut digest = Sha256::new_with_prefix("target");
        digest.update([u8::from(tls.trust_all)]);
        let client_certificates = certified(&tls.client_certificates, lookup, &mut digest)?;
        let trusted = trusted(&tls.trusted, lookup, &mut digest)?;
        Ok(Self { identity: identity(digest), client_certificates, trusted, trust_all: tls.trust_all })
    }
}

impl ListenerTls {
    pub(crate) fn compile(tls: &wire::ListenerTls, lookup: &mut Lookup<'_>) -> Result<Self, String> {
        let mut digest = Sha256::new_with_prefix("listener");
        let certificates = certified(&tls.certificates, lookup, &mut digest)?;
        if certificates.is_empty() {
            return Err("there is no certificate with a private key for it yet".to_owned());
        }
        let asked = wire::ClientCertificates::try_from(tls.client_certificates).map_err(|_| {
            let asked = tls.client_certificates;
            format!("{asked} is no way to ask for certificates of clients that this version knows")
        })?;
        digest.update([asked as u8, u8::from(tls.forward_client_certificate)]);
        let authorities = trusted(&tls.client_authorities, lookup, &mut digest)?;
        if authorities.is_empty() != (asked == wire::ClientCertificates::Ignored) {
            return Err("authorities and certificates of clients only go together".to_owned());
        }
        let trust = ClientTrust { authorities, forwarded: tls.forward_client_certificate };
        let clients = match asked {
            wire::ClientCertificates::Ignored => ClientCertificates::Ignored,
            wire::ClientCertificates::Optional => ClientCertificates::Optional(trust),
            wire::ClientCertificates::Required => ClientCertificates::Required(trust),
        };
        Ok(Self { identity: identity(digest), certificates, clients })
    }
}

fn certified(
    keys: &[String],
    lookup: &mut Lookup<'_>,
    digest: &mut Sha256,
) -> Result<Vec<Arc<CertifiedKey>>, String> {
    digest.update((keys.len() as u64).to_be_bytes());
    let mut all = Vec::with_capacity(keys.len());
    for key in keys {
        let Found { found, digest: of_key } = lookup.certified(key)?;
        digest.update(of_key);
        all.push(found);
    }
    Ok(all)
}

fn trusted(keys: &[String], lookup: &mut Lookup<'_>, digest: &mut Sha256) -> Result<Vec<Bytes>, String> {
    digest.update((keys.len() as u64).to_be_bytes());
    let mut all = Vec::new();
    for key in keys {
        let Found { found, digest: of_key } = lookup.trusted(key)?;
        digest.update(of_key);
        all.extend(found);
    }
    Ok(all)
}

fn identity(digest: Sha256) -> TlsIdentity {
    let mut identity = [0; 16];
    identity.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
    TlsIdentity(identity)
}
