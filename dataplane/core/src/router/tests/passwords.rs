//! What backends get of the passwords that they name.

use dataplane_snapshot::{Object, wire};

use crate::sample::{endpoints, key, object, served};
use crate::{BackendStates, Compiled, Credentials, Router};

fn password(text: &str) -> Object {
    let kind = Some(wire::SecretKind::Password(text.into()));
    object("secret/default/b~proxy", wire::Payload::Secret(wire::Secret { kind }))
}

/// A backend behind a proxy, and another one.
fn objects() -> Vec<Object> {
    let proxy = wire::ForwardProxy {
        host: "proxy.test".into(),
        port: 3128,
        principal: "anna".into(),
        password: "secret/default/b~proxy".into(),
        ..Default::default()
    };
    let client = wire::ClientSettings { proxy: Some(Box::new(proxy)), ..Default::default() };
    let backend = |name: &str, client| {
        let backend = wire::Backend { root: "/".into(), client, ..Default::default() };
        [
            object(&format!("backend/default/{name}"), wire::Payload::Backend(backend)),
            endpoints(name, &[("t", 1)]),
        ]
    };
    let backends = backend("b", Some(client)).into_iter().chain(backend("other", None));
    backends.collect()
}

fn compile(password: Option<Object>, previous: Option<&Router>) -> Compiled {
    let objects = objects().into_iter().chain(password);
    Router::compile(&served(objects), previous, &BackendStates::new())
}

fn shown(router: &Router) -> Option<Credentials> {
    let backend = router.backends().find(|backend| backend.key.name() == "b")?;
    backend.connections.proxy_to("t.test")?.credentials.clone()
}

fn anna(password: &str) -> Option<Credentials> {
    Credentials::new(wire::ProxyProtocol::Http, "anna", password).ok()
}

#[test]
fn a_password_that_changes_reaches_its_backend() {
    let first = compile(Some(password("one")), None);
    assert_eq!((first.rejected, shown(&first.router)), (vec![], anna("one")));
    let second = compile(Some(password("two")), Some(&first.router));
    assert_eq!((second.rejected, shown(&second.router)), (vec![], anna("two")));
}

#[test]
fn a_backend_without_its_password_is_rejected_alone_until_it_comes() {
    let Compiled { router, rejected } = compile(None, None);
    let [(rejected, reason)] = &*rejected else { panic!("{rejected:?}") };
    assert_eq!(*rejected, key("backend/default/b"));
    assert!(reason.contains("client.proxy: its password isn't here"), "{reason}");
    assert_eq!(router.backends().map(|backend| backend.key.name().to_owned()).collect::<Vec<_>>(), ["other"]);
    let next = compile(Some(password("one")), Some(&router));
    assert_eq!((next.rejected, shown(&next.router)), (vec![], anna("one")));
    assert_eq!(compile(None, Some(&next.router)).rejected.len(), 1);
}
