//! TLS with files that are read for each connection, as they may have been renewed since the one before.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::StoreError;
use crate::shared::StoreTls;

/// What connections are made with. What can't be used already now is an error.
pub(super) fn config(files: &StoreTls) -> Result<ClientConfig, StoreError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong("authorities", &error))?;
    let files = Files { files: files.clone(), provider };
    let certificate = files.certificate()?;
    let builder = match files.authorities()? {
        Some(_) => builder.dangerous().with_custom_certificate_verifier(Arc::new(files.clone())),
        None => {
            let mut trusted = RootCertStore::empty();
            trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            builder.with_root_certificates(trusted)
        }
    };
    let mut config = match certificate {
        Some(_) => builder.with_client_cert_resolver(Arc::new(files)),
        None => builder.with_no_client_auth(),
    };
    // In a session that is resumed the server isn't verified, and shown nothing.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn wrong(what: &str, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Misconfigured(format!("setting store.tls.{what}: {error}"))
}

/// Shows what they have to the server, and checks its certificate by them.
#[derive(Clone, Debug)]
struct Files {
    files: StoreTls,
    provider: Arc<CryptoProvider>,
}

impl Files {
    /// `None`: no file is named.
    fn authorities(&self) -> Result<Option<Arc<WebPkiServerVerifier>>, StoreError> {
        let Some(pem) = self.files.read_authorities()? else { return Ok(None) };
        let wrong = |error: &dyn std::fmt::Display| wrong("authorities", error);
        let mut trusted = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| wrong(&error))?;
            trusted.add(certificate).map_err(|error| wrong(&error))?;
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(trusted), self.provider.clone()).build();
        verifier.map(Some).map_err(|error| wrong(&error))
    }

    /// `None`: no file is named.
    fn certificate(&self) -> Result<Option<CertifiedKey>, StoreError> {
        let Some((certificate, key)) = self.files.read_certificate()? else { return Ok(None) };
        let chain = CertificateDer::pem_slice_iter(&certificate).collect::<Result<_, _>>();
        let chain = chain.map_err(|error| wrong("certificate", &error))?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| wrong("key", &error))?;
        let certified = CertifiedKey::from_der(chain, key, &self.provider);
        certified.map(Some).map_err(|error| wrong("certificate", &error))
    }
}

impl ResolvesClientCert for Files {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let certificate = self.certificate();
        let certificate = certificate
            .inspect_err(|error| tracing::warn!(%error, "the state store is shown no certificate"));
        certificate.ok().flatten().map(Arc::new)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ServerCertVerifier for Files {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let by = self.authorities().map_err(|error| rustls::Error::General(error.to_string()))?;
        let by = by.ok_or_else(|| rustls::Error::General("no authorities are named".to_owned()))?;
        by.verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
