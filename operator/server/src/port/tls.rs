use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use operator_core::CertificateSpec;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};

/// What a port greets its clients with: its certificate, and whose certificates of clients it takes.
#[derive(Clone)]
pub struct PortTls(pub(super) Arc<ServerConfig>);

/// Why a certificate or authorities can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PortTlsError {
    #[error("the certificate has no private key")]
    NoKey,
    #[error("the private key can't be used: {0}")]
    Key(&'static str),
    #[error("the certificate can't be used: {0}")]
    Certificate(rustls::Error),
    #[error("an authority of clients' certificates can't be used: {0}")]
    Authority(rustls::Error),
    #[error("no TLS by these settings: {0}")]
    Settings(String),
}

impl PortTls {
    /// Clients are asked for a certificate if there are `authorities` (DER), and may go on without one. One that isn't
    /// signed by them ends the handshake.
    pub fn new(certificate: &CertificateSpec, authorities: &[Bytes]) -> Result<Self, PortTlsError> {
        let provider = Arc::new(default_provider());
        let own = certified(certificate, &provider)?;
        let settings = |error: &dyn fmt::Display| PortTlsError::Settings(error.to_string());
        let mut config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| settings(&error))?
            .with_client_cert_verifier(verifier(authorities, &provider)?)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // The client keeps the session. The keys of tickets are new with each change of the files, as a ticket says that
        // its client was let in: it mustn't outlive the authority that it was let in by.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Ticketer::new().map_err(|error| settings(&error))?;
        Ok(Self(Arc::new(config)))
    }
}

impl fmt::Debug for PortTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PortTls")
    }
}

fn certified(
    certificate: &CertificateSpec,
    provider: &Arc<CryptoProvider>,
) -> Result<CertifiedKey, PortTlsError> {
    let key = certificate.key.as_ref().ok_or(PortTlsError::NoKey)?;
    let key = PrivateKeyDer::try_from(key.0.to_vec()).map_err(PortTlsError::Key)?;
    CertifiedKey::from_der(ders(&certificate.chain), key, provider).map_err(PortTlsError::Certificate)
}

fn verifier(
    authorities: &[Bytes],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, PortTlsError> {
    if authorities.is_empty() {
        return Ok(Arc::new(NoClientAuth));
    }
    let mut roots = RootCertStore::empty();
    for authority in ders(authorities) {
        roots.add(authority).map_err(PortTlsError::Authority)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let verifier = verifier.allow_unauthenticated().build();
    verifier.map(|verifier| verifier as _).map_err(|error| PortTlsError::Settings(error.to_string()))
}

fn ders(all: &[Bytes]) -> Vec<CertificateDer<'static>> {
    all.iter().map(|der| CertificateDer::from(der.to_vec())).collect()
}
