//! Authorities, what they sign, and clients.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use operator_core::{CertificateSpec, PrivateKey};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::PATIENCE;

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its private key, in DER.
pub(crate) struct Identity {
    certificate: Bytes,
    key: Vec<u8>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Two authorities of one name would be taken for one.
        let name = base64::engine::general_purpose::STANDARD.encode(key.public_key_raw());
        params.distinguished_name.push(rcgen::DnType::OrganizationName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn certificate(&self) -> Bytes {
        Bytes::copy_from_slice(self.0.der())
    }

    pub(crate) fn issue(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate: Bytes::copy_from_slice(certificate.der()), key: key.serialize_der() }
    }
}

impl Identity {
    pub(crate) fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    pub(crate) fn spec(&self) -> CertificateSpec {
        let key = Some(PrivateKey(self.key.clone().into()));
        CertificateSpec {
            chain: vec![self.certificate.clone()],
            key,
            authorities: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// Of a client that trusts `authority`.
pub(crate) fn config(authority: &Authority, own: Option<&Identity>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.certificate().to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    Arc::new(match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let chain = vec![CertificateDer::from(own.certificate.to_vec())];
            let key = PrivateKeyDer::try_from(own.key.clone()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    })
}

/// A connection inside TLS.
pub(crate) struct Client(TlsStream<TcpStream>);

impl Client {
    pub(crate) async fn connect(
        address: SocketAddr,
        authority: &Authority,
        own: Option<&Identity>,
    ) -> io::Result<Self> {
        Self::connect_by(address, config(authority, own)).await
    }

    pub(crate) async fn connect_by(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let handshake = TlsConnector::from(config).connect(name, stream);
        timeout(PATIENCE, handshake).await.expect("the handshake ends").map(Self)
    }

    /// The certificate that the server showed.
    pub(crate) fn shown(&self) -> &[u8] {
        self.0.get_ref().1.peer_certificates().unwrap().first().unwrap()
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.0.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Until the server closes it.
    pub(crate) async fn closed(&mut self) {
        let _ = self.0.read_to_end(&mut Vec::new()).await;
    }

    /// The answer, with the right credentials.
    pub(crate) async fn get(&mut self, path: &str) -> io::Result<String> {
        let pair = base64::engine::general_purpose::STANDARD.encode("id:secret");
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Basic {pair}\r\n\
             komainu-worker-id: w1\r\nkomainu-worker-name: w\r\nkomainu-worker-version: 0.1.0\r\n\r\n"
        );
        self.0.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        timeout(PATIENCE, self.0.read_to_string(&mut answer)).await.expect("an answer")?;
        Ok(answer)
    }
}
