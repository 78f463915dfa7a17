//! TLS as the objects say it, ready for whoever opens connections. Nothing here knows cryptography.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use dataplane_snapshot::Key;

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
