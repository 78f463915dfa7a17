//! TLS by rustls, towards clients and towards targets. What the objects say is in [`dataplane_core`]; here it becomes
//! handshakes.

mod acceptor;
mod client_certificate;
mod connector;
mod names;
mod roots;
mod secure;
mod stream;
mod trouble;
mod verify;

use std::sync::{Arc, LazyLock};

use dataplane_core::CertifiedKey;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub(crate) use acceptor::{Acceptor, Handover};
pub(crate) use connector::{Connector, Connectors, client_config, shake_hands};
pub(crate) use roots::load as load_system_roots;
pub(crate) use secure::secure;
pub(crate) use stream::TlsStream;
pub(crate) use trouble::{TlsTrouble, explain};

/// HTTP/2 as handshakes name it (RFC 9113 section 3.2).
const HTTP2: &[u8] = b"h2";

/// What clients may go on in inside TLS, best first (RFC 7301).
const SERVED: &[&[u8]] = &[HTTP2, b"http/1.1"];

/// The cryptography of all connections. The process' default is left to whoever sets it.
fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let kx_groups =
            vec![kx_group::X25519, kx_group::SECP256R1, kx_group::X25519MLKEM768, kx_group::SECP384R1];
        Arc::new(CryptoProvider { kx_groups, ..default_provider() })
    });
    &PROVIDER
}

/// A certificate with its key, ready for signing.
fn certified(certificate: &CertifiedKey) -> Result<rustls::sign::CertifiedKey, String> {
    let name = certificate.name.name();
    let error = |error: &dyn std::fmt::Display| format!("certificate {name} can't be used: {error}");
    let chain = certificate.chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    let key = PrivateKeyDer::try_from(certificate.key.0.to_vec()).map_err(|reason| error(&reason))?;
    rustls::sign::CertifiedKey::from_der(chain, key, provider()).map_err(|reason| error(&reason))
}
