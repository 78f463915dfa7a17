//! A leader that starts while the API server is away serves what it last had.

use std::time::Duration;

use e2e::kube::{ApiServer, User};
use e2e::process::{until, within};
use operator_core::{Observed, Owner};

use crate::fixture::{Leader, backend, define, key, route};
use crate::services::{service, slice};

#[test]
fn a_leader_without_its_api_server_serves_from_the_mirror() -> anyhow::Result<()> {
    let mut server = ApiServer::start()?;
    define(&server.kubectl())?;
    let folder = tempfile::tempdir()?;
    let start = |server: &ApiServer| Leader::start(server, User::Admin, &[], folder.path());

    let leader = start(&server)?;
    let pods =
        [service("users", "{ports: [{port: 80}]}"), slice("users", "users", "[{port: 8080}]", &["10.0.0.1"])];
    let objects = [backend("users", "one.test"), route("shop", "/shop", "users"), pods.concat()];
    server.kubectl().apply(&objects.concat())?;
    let users = key("slice/default/users/users")?;
    until("both are seen, and the pods", || {
        (leader.names()? == ["route/shop", "backend/users"]).then_some(())?;
        leader.view()?.objects.contains_key(&users).then_some(())
    });
    until("all are mirrored", || {
        let listing = leader.runtime.block_on(leader.store.list(Owner::Kubernetes)).ok()?;
        (listing.objects.len() == leader.view()?.objects.len()).then_some(())
    });
    let seen = leader.view().unwrap();

    server.stop_apiserver();
    // It goes on with what it knows, and so does its successor.
    assert_eq!(leader.view().unwrap().objects, seen.objects);
    drop(leader);
    let leader = start(&server)?;
    let (mirrored, took) = within(Duration::from_secs(15), "the mirror is served", || leader.view());
    assert!(took >= Duration::from_secs(1), "the API server had no time to answer: {took:?}");
    // Which ones they are the mirror doesn't keep: the API server tells.
    let anonymous = |observed: &Observed| Observed { uid: String::new(), ..observed.clone() };
    let known: Vec<_> = seen.objects.values().map(|observed| anonymous(observed)).collect();
    let told: Vec<_> = mirrored.objects.values().map(|observed| anonymous(observed)).collect();
    assert_eq!(told, known);
    assert_eq!(mirrored.as_of.epoch, seen.as_of.epoch);
    assert!(mirrored.as_of.revisions.iter().all(|(kind, revision)| *revision <= seen.as_of.revisions[kind]));

    server.start_apiserver()?;
    server.kubectl().must(&["delete", "route", "shop"])?;
    server.kubectl().apply(&backend("orders", "one.test"))?;
    until("the API server's view replaces it", || {
        (leader.names()? == ["backend/orders", "backend/users"]).then_some(())
    });
    Ok(())
}
