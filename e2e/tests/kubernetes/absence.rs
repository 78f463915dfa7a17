//! A list that suddenly lacks most objects isn't believed at once.

use dataplane_snapshot::Kind;
use e2e::kube::{ApiServer, User};
use e2e::process::until;
use operator_core::Owner;

use crate::fixture::{Leader, backend, define};

#[test]
fn a_restarted_leader_doubts_a_list_that_lacks_most() -> anyhow::Result<()> {
    let server = ApiServer::start()?;
    define(&server.kubectl())?;
    let folder = tempfile::tempdir()?;
    let start = || Leader::start(&server, User::Admin, &[], folder.path());

    let leader = start()?;
    let many: Vec<_> = (0..12).map(|number| backend(&format!("b{number}"), "one.test")).collect();
    server.kubectl().apply(&many.concat())?;
    until("all are mirrored", || {
        let listing = leader.runtime.block_on(leader.store.list(Owner::Kubernetes)).ok()?;
        let backends = listing.objects.iter().filter(|object| object.key.kind() == Kind::Backend);
        (backends.count() == 12).then_some(())
    });
    drop(leader);

    // Deletions that nobody watched.
    server.kubectl().must(&["delete", "backends", "--all"])?;
    server.kubectl().apply(&backend("new", "one.test"))?;
    let leader = start()?;
    until("the new one is there beside the others", || (leader.names()?.len() == 13).then_some(()));
    assert!(leader.measures(r#"leader_unproved_objects{kind="backend"} 12"#), "it is shown");
    // The second list, 30 s later, proves it.
    let limit = std::time::Duration::from_secs(60);
    let ((), took) = e2e::process::within(limit, "the others are gone", || {
        (leader.names()? == ["backend/new"]).then_some(())
    });
    assert!(took.as_secs() >= 25, "{took:?}");
    until("none is missing", || {
        leader.measures(r#"leader_unproved_objects{kind="backend"} 0"#).then_some(())
    });
    Ok(())
}
