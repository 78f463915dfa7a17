//! Which connections a backend's requests use.

use std::sync::Arc;

use dataplane_snapshot::{Key, wire};
use sha2::{Digest as _, Sha256};

use crate::passwords::Passwords;
use crate::{CompiledTarget, ForwardProxy, TlsIdentity};

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
    /// What keeps this backend's connections apart from those of others, its forward proxy included; 0: nothing.
    apart: u128,
    /// Most requests that wait for a connection to one target, of all threads.
    pub queue_size: u32,
    proxy: Option<Arc<ForwardProxy>>,
}

impl Connections {
    /// For a backend that says nothing, as on Otoroshi's Backends page.
    const QUEUE_SIZE: u32 = 2048;

    /// `backend` is what a pool of its own goes by: one that is changed keeps its connections.
    pub(crate) fn compile(
        backend: &Key,
        client: Option<&wire::ClientSettings>,
        passwords: &mut Passwords<'_>,
    ) -> Result<Self, String> {
        let proxy = client.and_then(|client| client.proxy.as_deref());
        let proxy = proxy.map(|proxy| ForwardProxy::compile(proxy, passwords)).transpose();
        let proxy = proxy.map_err(|reason| format!("client.proxy: {reason}"))?.map(Arc::new);
        let settings = client.and_then(|client| client.connections.as_ref());
        let own_pool = settings.is_some_and(|settings| settings.own_pool);
        let mut apart = if own_pool { digest(&["pool", &backend.to_string()]) } else { 0 };
        if let Some(proxy) = &proxy {
            let (pool, port) = (apart.to_string(), proxy.port.to_string());
            let parts = [&["proxy", &pool, &port], &*proxy.parts()].concat();
            apart = digest(&parts);
        }
        let queue_size = settings.map_or(Self::QUEUE_SIZE, |settings| settings.queue_size);
        Ok(Self { apart, queue_size, proxy })
    }

    /// The forward proxy on the way to a server of this name, if there is one.
    pub fn proxy_to(&self, hostname: &str) -> Option<&Arc<ForwardProxy>> {
        self.proxy.as_ref().filter(|proxy| proxy.is_for(hostname))
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

    fn compile(backend: &str, client: Option<&wire::ClientSettings>) -> Connections {
        Connections::compile(&backend.parse().unwrap(), client, &mut Passwords::default()).unwrap()
    }

    fn key(backend: &str, connections: Option<wire::ConnectionSettings>, target: wire::Target) -> PoolKey {
        let client = wire::ClientSettings { connections, ..Default::default() };
        let compiled = sample::compiled_backend(&wire::Backend::default(), vec![target]).unwrap();
        compile(backend, Some(&client)).key(&compiled.targets()[0])
    }

    #[test]
    fn connections_through_another_proxy_are_others() {
        let proxy = wire::ForwardProxy { host: "p.test".into(), port: 3128, ..Default::default() };
        let password = |text: &str| {
            let kind = Some(wire::SecretKind::Password(text.into()));
            sample::object("secret/x/a~proxy", wire::Payload::Secret(wire::Secret { kind }))
        };
        let (good, other) = (password("good"), password("other"));
        let key = |proxy: Option<&wire::ForwardProxy>, secret, own_pool| {
            let connections = Some(wire::ConnectionSettings { own_pool, queue_size: 1 });
            let proxy = proxy.cloned().map(Box::new);
            let client = wire::ClientSettings { connections, proxy, ..Default::default() };
            let compiled = sample::compiled_backend(&wire::Backend::default(), vec![target("1", 1)]).unwrap();
            let backend = "backend/x/a".parse().unwrap();
            let secrets = [secret];
            let connections =
                Connections::compile(&backend, Some(&client), &mut Passwords::new(&secrets)).unwrap();
            connections.key(&compiled.targets()[0])
        };
        let with = |change: fn(&mut wire::ForwardProxy)| {
            let mut proxy = proxy.clone();
            change(&mut proxy);
            proxy
        };
        let named = with(|proxy| {
            proxy.principal = "anna".into();
            proxy.password = "secret/x/a~proxy".into();
        });
        let keys = [
            key(None, &good, false),
            key(Some(&proxy), &good, false),
            key(Some(&proxy), &good, true),
            key(Some(&with(|proxy| proxy.host = "q.test".into())), &good, false),
            key(Some(&with(|proxy| proxy.port = 3129)), &good, false),
            key(Some(&with(|proxy| proxy.protocol = 2)), &good, false),
            key(Some(&with(|proxy| proxy.non_proxy_hosts = vec!["*".into()])), &good, false),
            key(Some(&with(|proxy| proxy.principal = "anna".into())), &good, false),
            key(Some(&named), &good, false),
            key(Some(&named), &other, false),
        ];
        for (index, one) in keys.iter().enumerate() {
            assert!(keys[..index].iter().all(|before| before != one), "{index}");
        }
        assert_eq!(key(Some(&named), &good, false), keys[8]);
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
        assert_eq!(compile("backend/x/a", None).queue_size, 2048);
        let connections = Some(wire::ConnectionSettings { own_pool: false, queue_size: 3 });
        let client = wire::ClientSettings { connections, ..Default::default() };
        assert_eq!(compile("backend/x/a", Some(&client)).queue_size, 3);
    }
}
