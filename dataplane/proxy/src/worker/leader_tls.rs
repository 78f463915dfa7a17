use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use dataplane_core::TargetTls;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::tls::{TlsStream, TlsTrouble, client_config, explain, shake_hands};

/// How a worker speaks TLS with its leaders: whom it trusts, and by which certificate it is known.
#[derive(Clone)]
pub struct LeaderTls(Arc<ClientConfig>);

impl LeaderTls {
    /// Reads what the system trusts, if `tls` names nothing to trust.
    ///
    /// # Errors
    /// A sentence about the certificate that can't be used.
    pub fn new(tls: &TargetTls) -> Result<Self, String> {
        client_config(tls).map(|config| Self(Arc::new(config)))
    }

    /// The certificate has to be for `host`: a name, or an address.
    pub(super) async fn connect<T>(&self, io: T, host: &str) -> Result<TlsStream<T>, TlsTrouble>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        shake_hands(self.0.clone(), host, io).await
    }
}

impl fmt::Debug for LeaderTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaderTls")
    }
}

/// What TLS has to do with the failure of an exchange, for people. Since TLS 1.3 a server judges the client's certificate when
/// the client has begun to speak.
pub(super) fn trouble(error: &(dyn Error + 'static)) -> Option<String> {
    let mut error = Some(error);
    while let Some(this) = error {
        if let Some(sentence) = this.downcast_ref::<io::Error>().and_then(explain) {
            return Some(sentence);
        }
        error = this.source();
    }
    None
}
