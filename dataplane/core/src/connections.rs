//! Which connections a backend's requests use.

use dataplane_snapshot::{Key, wire};
use sha2::{Digest as _, Sha256};

use crate::{CompiledTarget, TlsIdentity};

/// What a connection was opened for. Those of the same key can stand in for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolKey {
    target: u128,
    tls: Option<TlsIdentity>,
    backend: u128,
}

/// How the connections of a backend are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connections {
    /// What keeps this backend's connections apart from those of others; 0: nothing.
    apart: u128,
    /// Most requests that wait for a connection to one target, of all threads.
    pub queue_size: u32,
}

impl Connections {
    /// For a backend that says nothing, as on Otoroshi's Backends page.
    const QUEUE_SIZE: u32 = 2048;

    /// `backend` is what a pool of its own goes by: one that is changed keeps its connections.
    pub(crate) fn compile(backend: &Key, client: Option<&wire::ClientSettings>) -> Self {
        let settings = client.and_then(|client| client.connections.as_ref());
        let own_pool = settings.is_some_and(|settings| settings.own_pool);
        let apart = if own_pool { digest(&["pool", &backend.to_string()]) } else { 0 };
        Self { apart, queue_size: settings.map_or(Self::QUEUE_SIZE, |settings| settings.queue_size) }
    }

    /// For connections to `target`, which is one of the backend's.
    #[inline]
    pub fn key(&self, target: &CompiledTarget) -> PoolKey {
        let tls = target.tls.as_ref().map(|tls| tls.identity);
        PoolKey { target: target.place, tls, backend: self.apart }
    }
}

/// The same for the same target in every backend: where it is and what it speaks.
pub(crate) fn place(target: &wire::Target) -> u128 {
    let (port, protocol) = (target.port.to_string(), target.protocol.to_string());
    digest(&["target", &target.hostname, &port, &target.ip_address, &protocol])
}

fn digest(parts: &[&str]) -> u128 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(16).fold(0, |digest, byte| digest << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, target};

    fn key(backend: &str, connections: Option<wire::ConnectionSettings>, target: wire::Target) -> PoolKey {
        let client = wire::ClientSettings { connections, ..Default::default() };
        let compiled = sample::compiled_backend(&wire::Backend::default(), vec![target]).unwrap();
        Connections::compile(&backend.parse().unwrap(), Some(&client)).key(&compiled.targets()[0])
    }

    #[test]
    fn connections_are_shared_by_backends_unless_one_has_its_own() {
        let (a, b) = ("backend/x/a", "backend/x/b");
        let shared = key(a, None, target("1", 1));
        let of_pool = |own_pool| Some(wire::ConnectionSettings { own_pool, queue_size: 1 });
        assert_eq!(key(b, of_pool(false), target("2", 5)), shared, "neither id nor weight matter");
        let own = key(a, of_pool(true), target("1", 1));
        assert_ne!(own, shared);
        assert_ne!(own, key(b, of_pool(true), target("1", 1)));
        let changed = Some(wire::ConnectionSettings { own_pool: true, queue_size: 7 });
        assert_eq!(own, key(a, changed, target("1", 1)), "a changed backend keeps them");
    }

    #[test]
    fn connections_to_another_place_are_others() {
        let one = key("backend/x/a", None, target("1", 1));
        for other in [
            wire::Target { hostname: "b.test".into(), ..target("1", 1) },
            wire::Target { port: 81, ..target("1", 1) },
            wire::Target { ip_address: "127.0.0.1".into(), ..target("1", 1) },
            wire::Target { protocol: wire::Protocol::Http10.into(), ..target("1", 1) },
            wire::Target { tls: Some(wire::TargetTls::default()), ..target("1", 1) },
        ] {
            assert_ne!(key("backend/x/a", None, other.clone()), one, "{other:?}");
        }
    }

    #[test]
    fn the_queue_is_as_the_backend_says() {
        let key: Key = "backend/x/a".parse().unwrap();
        assert_eq!(Connections::compile(&key, None).queue_size, 2048);
        let connections = Some(wire::ConnectionSettings { own_pool: false, queue_size: 3 });
        let client = wire::ClientSettings { connections, ..Default::default() };
        assert_eq!(Connections::compile(&key, Some(&client)).queue_size, 3);
    }
}
