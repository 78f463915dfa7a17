//! Objects of the API server become views.

use std::sync::Arc;

use anyhow::Context as _;
use e2e::kube::{ApiServer, User};
use e2e::process::until;
use operator_core::Spec;

use crate::fixture::{Leader, Namespace, backend, define, key, route};

#[test]
fn views_follow_what_is_applied_edited_and_deleted() -> anyhow::Result<()> {
    let namespace = Namespace::new("source-follows")?;
    let kubectl = namespace.kubectl();
    kubectl.apply(&[backend("users", "one.test"), route("shop", "/shop", "users")].concat())?;
    let leader = namespace.leader()?;
    until("both are in the first view", || {
        (leader.names()? == ["route/shop", "backend/users"]).then_some(())
    });
    let first = leader.view().unwrap();

    kubectl.apply(&backend("users", "two.test"))?;
    let users = key("backend/source-follows/users")?;
    let hostname = || {
        let view = leader.view()?;
        let Spec::Backend(spec) = &view.objects.get(&users)?.spec else { return None };
        spec.targets.first()?.hostname.clone()
    };
    until("the edit is seen", || (hostname()? == "two.test").then_some(()));
    let edited = leader.view().unwrap();
    assert_eq!(edited.objects.get(&users).unwrap().generation, 2);
    let shop = key("route/source-follows/shop")?;
    assert!(
        Arc::ptr_eq(first.objects.get(&shop).unwrap(), edited.objects.get(&shop).unwrap()),
        "what didn't change is the same object"
    );
    assert_eq!(first.as_of.epoch, edited.as_of.epoch);
    let revisions = |view: &operator_core::SourceView| view.as_of.revisions[&users.kind()];
    assert!(revisions(&edited) > revisions(&first));

    kubectl.must(&["label", "backend", "users", "komainu.dev/tenant=a"])?;
    until("the label is seen", || {
        leader.view()?.objects.get(&users)?.labels.get("komainu.dev/tenant").cloned()
    });
    kubectl.must(&["delete", "route", "shop"])?;
    until("the deletion is seen", || (leader.names()? == ["backend/users"]).then_some(()));
    Ok(())
}

#[test]
fn other_namespaces_are_not_seen() -> anyhow::Result<()> {
    let (mine, other) = (Namespace::new("source-mine")?, Namespace::new("source-other")?);
    other.kubectl().apply(&backend("theirs", "a.test"))?;
    let leader = mine.leader()?;
    until("there is a view", || leader.view());
    mine.kubectl().apply(&backend("mine", "a.test"))?;
    until("mine is seen", || (leader.names()? == ["backend/mine"]).then_some(()));
    Ok(())
}

#[test]
fn without_definitions_there_is_no_view_until_they_come() -> anyhow::Result<()> {
    let server = ApiServer::start()?;
    let folder = tempfile::tempdir()?;
    let leader = Leader::start(&server, User::Admin, &[], folder.path())?;
    let mut views = leader.views.clone();
    define(&server.kubectl())?;
    server.kubectl().apply(&backend("users", "a.test"))?;
    // Whichever view is the first, it isn't the empty one of an API server that knows neither kind.
    leader.runtime.block_on(views.changed())?;
    until("the object is seen", || (leader.names()? == ["backend/users"]).then_some(()));

    // Deleting the definitions deletes the objects, which is watched; afterwards the API server knows nothing, which isn't
    // the same as having nothing.
    let last = leader.view().unwrap().as_of.clone();
    server.kubectl().must(&["delete", "crd", "backends.komainu.dev", "routes.komainu.dev"])?;
    define(&server.kubectl())?;
    server.kubectl().apply(&backend("orders", "a.test"))?;
    until("the new object is seen", || (leader.names()? == ["backend/orders"]).then_some(()));
    let now = leader.view().unwrap().as_of.clone();
    assert!(
        last.revisions.iter().all(|(kind, revision)| now.revisions[kind] >= *revision),
        "{last:?} {now:?}"
    );
    Ok(())
}

/// Has the rules that a leader needs.
const DOCUMENTATION: &str = include_str!("../../../docs/kubernetes.md");

const BINDING: &str = "---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: komainu-leader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: komainu-leader}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: leader}]
";

/// A Backend that names a Service and a Secret, with both.
const NAMING: &str = "---
apiVersion: komainu.dev/v1alpha1
kind: Backend
metadata: {name: naming}
spec:
  targets: [{service: {name: users, port: 80}}]
  client: {proxy: {host: p.test, port: 80, principal: u, passwordSecret: {name: proxy, key: password}}}
---
apiVersion: v1
kind: Service
metadata: {name: users}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: users, labels: {kubernetes.io/service-name: users}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.0.0.1]}]
---
apiVersion: v1
kind: Secret
metadata: {name: proxy}
stringData: {password: hush}
";

#[test]
fn the_documented_rules_are_all_that_a_leader_needs() -> anyhow::Result<()> {
    let server = ApiServer::start()?;
    let kubectl = server.kubectl();
    define(&kubectl)?;
    kubectl
        .apply(&[backend("users", "a.test"), route("shop", "/shop", "users"), NAMING.to_owned()].concat())?;
    let folder = tempfile::tempdir()?;
    let leader = Leader::start(&server, User::Leader, &[], folder.path())?;
    let rules =
        DOCUMENTATION.split("```").find_map(|block| block.strip_prefix("yaml\n")).context("no rules")?;
    kubectl.apply(&[rules, BINDING].concat())?;
    until("it sees what it may see now", || {
        let view = leader.view()?;
        let named = ["service/default/users", "slice/default/users/users", "secret/default/proxy"];
        (leader.names()? == ["route/shop", "backend/naming", "backend/users"]).then_some(())?;
        named.iter().all(|name| name.parse().is_ok_and(|key| view.objects.contains_key(&key))).then_some(())
    });
    for object in ["backend/users", "backend/naming", "route/shop"] {
        kubectl.must(&["wait", "--for=condition=Programmed", "--timeout=30s", object])?;
    }
    until("it makes events", || {
        let told = kubectl.must(&["get", "events.v1.events.k8s.io", "-o", "name"]).ok()?;
        (told.lines().count() >= 2).then_some(())
    });
    Ok(())
}
