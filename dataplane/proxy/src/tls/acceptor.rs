use std::sync::Arc;

use arc_swap::ArcSwap;
use dataplane_core::{ClientCertificates, ClientTrust, ListenerTls, TlsIdentity};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use super::names::Names;
use super::{HTTP2, SERVED, certified, provider};

/// What a listener greets its clients with.
pub(crate) struct Acceptor {
    pub(super) config: Arc<ServerConfig>,
    pub(super) clients: ClientCertificates,
}

/// The TLS of an open listener, given to the threads without a lock: new handshakes see a new one, open connections go on.
pub(crate) struct Handover {
    identity: TlsIdentity,
    clients: ClientCertificates,
    /// Clients may speak HTTP/2.
    http2: bool,
    tickets: Arc<dyn ProducesTickets>,
    pub(crate) current: Arc<ArcSwap<Acceptor>>,
}

impl Handover {
    /// Fails with a sentence about what can't be used.
    pub(crate) fn new(tls: &ListenerTls, http2: bool) -> Result<Self, String> {
        let tickets = tickets()?;
        let current = Arc::new(ArcSwap::from_pointee(acceptor(tls, http2, tickets.clone())?));
        Ok(Self { identity: tls.identity, clients: tls.clients.clone(), http2, tickets, current })
    }

    /// Goes on with `tls`. What it was stays if that fails.
    pub(crate) fn follow(&mut self, tls: &ListenerTls) -> Result<(), String> {
        if self.identity == tls.identity {
            return Ok(());
        }
        // A ticket says that its client was let in. It mustn't outlive the rule that it was let in by.
        let tickets = if self.clients == tls.clients { self.tickets.clone() } else { tickets()? };
        self.current.store(Arc::new(acceptor(tls, self.http2, tickets.clone())?));
        (self.identity, self.tickets) = (tls.identity, tickets);
        self.clients.clone_from(&tls.clients);
        Ok(())
    }
}

/// What sessions are resumed by, on any thread: the client keeps all, encrypted by keys that change every six hours.
fn tickets() -> Result<Arc<dyn ProducesTickets>, String> {
    Ticketer::new().map_err(|error| format!("no keys for session tickets: {error}"))
}

fn acceptor(tls: &ListenerTls, http2: bool, tickets: Arc<dyn ProducesTickets>) -> Result<Acceptor, String> {
    let mut certificates = Vec::with_capacity(tls.certificates.len());
    for certificate in &tls.certificates {
        certificates.push(Arc::new(certified(certificate)?));
    }
    let mut config = ServerConfig::builder_with_provider(provider().clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(verifier(&tls.clients)?)
        .with_cert_resolver(Arc::new(Names::new(certificates)?));
    config.alpn_protocols = SERVED
        .iter()
        .filter(|protocol| http2 || **protocol != HTTP2)
        .map(|protocol| protocol.to_vec())
        .collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = tickets;
    Ok(Acceptor { config: Arc::new(config), clients: tls.clients.clone() })
}

fn verifier(clients: &ClientCertificates) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let (trust, optional) = match clients {
        ClientCertificates::Ignored => return Ok(Arc::new(NoClientAuth)),
        ClientCertificates::Optional(trust) => (trust, true),
        ClientCertificates::Required(trust) => (trust, false),
    };
    let authorities = Arc::new(authorities(trust)?);
    let builder = WebPkiClientVerifier::builder_with_provider(authorities, provider().clone());
    let builder = if optional { builder.allow_unauthenticated() } else { builder };
    builder.build().map(|verifier| verifier as _).map_err(|error| error.to_string())
}

fn authorities(trust: &ClientTrust) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for der in &trust.authorities {
        roots
            .add(CertificateDer::from(der.to_vec()))
            .map_err(|error| format!("an authority of clients' certificates can't be used: {error}"))?;
    }
    Ok(roots)
}
