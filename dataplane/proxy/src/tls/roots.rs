use std::sync::{Arc, LazyLock};

use rustls::RootCertStore;

static SYSTEM: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| Arc::new(read()));

/// The authorities that the worker's system trusts; none if it has none.
pub(super) fn system() -> Arc<RootCertStore> {
    SYSTEM.clone()
}

/// Reads the system's files now if nobody has so far, so that no thread that serves has to.
pub(crate) fn load() {
    LazyLock::force(&SYSTEM);
}

fn read() -> RootCertStore {
    let read = rustls_native_certs::load_native_certs();
    for error in &read.errors {
        tracing::warn!(%error, "certificates that the system trusts can't be read");
    }
    let mut roots = RootCertStore::empty();
    let (used, passed_over) = roots.add_parsable_certificates(read.certs);
    tracing::info!(used, passed_over, "read the authorities that the system trusts");
    roots
}
