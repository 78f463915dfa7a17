use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dataplane_core::{TargetTls, TlsIdentity};
use dataplane_snapshot::wire::Protocol;
use rustc_hash::FxHashMap;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ClientConnection, ResolvesClientCert, Resumption};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::verify::{Anything, Trusted};
use super::{HTTP2, TlsStream, TlsTrouble, certified, provider, roots};

/// Sessions to resume that are kept for each set of settings and thread.
const SESSIONS: usize = 64;
/// What nobody asked for so long is forgotten.
const UNUSED: Duration = Duration::from_secs(600);

/// Begins TLS with one target by one set of settings.
pub(crate) struct Connector {
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    used: Cell<bool>,
}

impl Connector {
    pub(crate) async fn connect<T>(&self, io: T) -> Result<TlsStream<T>, TlsTrouble>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        begin(self.config.clone(), self.name.clone(), io).await
    }
}

async fn begin<T>(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    io: T,
) -> Result<TlsStream<T>, TlsTrouble>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let shown = name.to_str().into_owned();
    let trouble = |error| TlsTrouble { name: shown.as_str().into(), error };
    let session =
        ClientConnection::new(config, name).map_err(|error| trouble(std::io::Error::other(error)))?;
    let mut stream = TlsStream::new(io, session.into());
    poll_fn(|cx| stream.poll_handshake(cx)).await.map_err(trouble)?;
    Ok(stream)
}

/// What connections to others than targets begin TLS by: HTTP/1.1 is spoken inside it. Fails with a sentence.
pub(crate) fn client_config(tls: &TargetTls) -> Result<ClientConfig, String> {
    config(tls, Offer::Http11, roots::system)
}

/// Begins TLS by such a config, with whoever `host` is.
pub(crate) async fn shake_hands<T>(
    config: Arc<ClientConfig>,
    host: &str,
    io: T,
) -> Result<TlsStream<T>, TlsTrouble>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let name = server_name(host).map_err(|reason| TlsTrouble {
        name: host.into(),
        error: std::io::Error::other(reason.to_string()),
    })?;
    begin(config, name, io).await
}

/// The connectors of a thread, made when they are wanted first. Each thread has its own, so that sessions to resume are
/// found without waiting for another thread.
#[derive(Default)]
pub(crate) struct Connectors {
    known: RefCell<FxHashMap<(TlsIdentity, Offer), Known>>,
    swept: Cell<Option<Instant>>,
}

struct Known {
    /// Or a sentence.
    config: Result<Arc<ClientConfig>, Rc<str>>,
    names: FxHashMap<Box<str>, Rc<Connector>>,
}

/// What a target is offered to speak inside TLS (RFC 7301).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Offer {
    /// Servers of HTTP/1.0 are older than that.
    Nothing,
    Http11,
    Http2,
}

impl Offer {
    const fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http10 => Self::Nothing,
            Protocol::Http11 => Self::Http11,
            Protocol::Http2 => Self::Http2,
        }
    }

    fn protocols(self) -> Vec<Vec<u8>> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Http11 => vec![b"http/1.1".to_vec()],
            Self::Http2 => vec![HTTP2.to_vec(), b"http/1.1".to_vec()],
        }
    }
}

impl Connectors {
    /// How TLS with the target at `hostname` begins. Its certificate has to be for `hostname`, wherever its address is
    /// from. Fails with a sentence.
    pub(crate) fn find(
        &self,
        tls: &TargetTls,
        hostname: &str,
        protocol: Protocol,
    ) -> Result<Rc<Connector>, Rc<str>> {
        let offer = Offer::of(protocol);
        let mut known = self.known.borrow_mut();
        let known = known.entry((tls.identity, offer)).or_insert_with(|| Known {
            config: config(tls, offer, roots::system).map(Arc::new).map_err(Rc::from),
            names: FxHashMap::default(),
        });
        if let Some(connector) = known.names.get(hostname) {
            connector.used.set(true);
            return Ok(connector.clone());
        }
        let connector = Rc::new(Connector {
            name: server_name(hostname)?,
            config: known.config.clone()?,
            used: Cell::new(true),
        });
        known.names.insert(hostname.into(), connector.clone());
        Ok(connector)
    }

    /// Forgets what nobody uses any more. Called now and then, off the request path.
    pub(crate) fn sweep(&self, now: Instant) {
        let since = self.swept.get().unwrap_or(now);
        if now.duration_since(since) >= UNUSED {
            self.known.borrow_mut().retain(|_, known| {
                known.names.retain(|_, connector| connector.used.take());
                !known.names.is_empty()
            });
            self.swept.set(Some(now));
        } else {
            self.swept.set(Some(since));
        }
    }
}

fn server_name(hostname: &str) -> Result<ServerName<'static>, Rc<str>> {
    // A dot at the end makes a name absolute, and is no part of what is sent or verified (RFC 6066 section 3).
    let name = hostname.strip_suffix('.').unwrap_or(hostname);
    let error = |_| format!("{hostname:?} is no name that a certificate can be for");
    Ok(ServerName::try_from(name).map_err(error)?.to_owned())
}

/// `system` are the roots for settings that name none.
fn config(
    tls: &TargetTls,
    offer: Offer,
    system: impl FnOnce() -> Arc<RootCertStore>,
) -> Result<ClientConfig, String> {
    let mut own = Vec::with_capacity(tls.client_certificates.len());
    for certificate in &tls.client_certificates {
        own.push(Arc::new(certified(certificate)?));
    }
    let mut config = ClientConfig::builder_with_provider(provider().clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier(tls, system)?)
        .with_client_cert_resolver(Arc::new(OwnCertificates(own)));
    config.alpn_protocols = offer.protocols();
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(config)
}

fn verifier(
    tls: &TargetTls,
    system: impl FnOnce() -> Arc<RootCertStore>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    if tls.trust_all {
        return Ok(Arc::new(Anything));
    }
    if tls.trusted.is_empty() {
        let roots = system();
        if roots.is_empty() {
            let message = "the worker's system trusts no authority, and no certificates to trust are named";
            return Err(message.to_owned());
        }
        return Ok(Arc::new(Trusted::new(roots, Vec::new())?));
    }
    let mut roots = RootCertStore::empty();
    let pinned: Vec<_> = tls.trusted.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    for certificate in &pinned {
        roots
            .add(certificate.clone())
            .map_err(|error| format!("a certificate to trust can't be used: {error}"))?;
    }
    Ok(Arc::new(Trusted::new(Arc::new(roots), pinned)?))
}

/// The first of the worker's own certificates that a target takes: by who signed it, if the target says, and by its key.
#[derive(Debug)]
struct OwnCertificates(Vec<Arc<CertifiedKey>>);

impl ResolvesClientCert for OwnCertificates {
    fn resolve(&self, issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let signs = |it: &&Arc<CertifiedKey>| it.key.choose_scheme(schemes).is_some();
        let is_known = |it: &&Arc<CertifiedKey>| it.cert.iter().any(|der| is_issued(der, issuers));
        let fitting = self.0.iter().filter(signs);
        // One that the target doesn't seem to know is better than none: it may know more than it says.
        fitting.clone().find(is_known).or_else(|| fitting.clone().next()).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

fn is_issued(der: &CertificateDer<'_>, issuers: &[&[u8]]) -> bool {
    let parsed = webpki::EndEntityCert::try_from(der);
    parsed.is_ok_and(|certificate| issuers.iter().any(|issuer| is_named(issuer, certificate.issuer())))
}

/// The name in a certificate is without its outermost tag and length.
fn is_named(name: &[u8], content: &[u8]) -> bool {
    name.len() > content.len() && name.len() <= content.len() + 6 && name.ends_with(content)
}
