//! A leader that starts while the API server is away serves what it last had.

use std::time::Duration;

use e2e::kube::{ApiServer, User};
use e2e::process::{until, within};
use operator_core::Owner;

use crate::fixture::{Leader, backend, define, route};

#[test]
fn a_leader_without_its_api_server_serves_from_the_mirror() -> anyhow::Result<()> {
    let mut server = ApiServer::start()?;
    define(&server.kubectl())?;
    let folder = tempfile::tempdir()?;
    let start = |server: &ApiServer| Leader::start(server, User::Admin, &[], folder.path());

    let leader = start(&server)?;
    server.kubectl().apply(&[backend("users", "one.test"), route("shop", "/shop", "users")].concat())?;
    until("both are seen", || (leader.names()? == ["route/shop", "backend/users"]).then_some(()));
    until("both are mirrored", || {
        let listing = leader.runtime.block_on(leader.store.list(Owner::Kubernetes)).ok()?;
        (listing.objects.len() == 2).then_some(())
    });
    let seen = leader.view().unwrap();

    server.stop_apiserver();
    // It goes on with what it knows, and so does its successor.
    assert_eq!(leader.view().unwrap().objects, seen.objects);
    drop(leader);
    let leader = start(&server)?;
    let (mirrored, took) = within(Duration::from_secs(15), "the mirror is served", || leader.view());
    assert!(took >= Duration::from_secs(1), "the API server had no time to answer: {took:?}");
    assert_eq!(mirrored.objects, seen.objects);
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
