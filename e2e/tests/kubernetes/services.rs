//! Services are followed to their pods by what an API server says of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dataplane_snapshot::{Key, Kind, wire};
use e2e::kube::{ApiServer, Kubectl, User};
use e2e::process::{until, within};
use operator_core::{ListenerSettings, Memo, World, plan};

use crate::fixture::{Leader, Namespace, define};

/// ReferenceGrant as the Gateway API defines it, as far as it matters here.
const GRANTS: &str = r#"---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: referencegrants.gateway.networking.k8s.io
  annotations: {api-approved.kubernetes.io: "https://github.com/kubernetes-sigs/gateway-api/pull/3328"}
spec:
  group: gateway.networking.k8s.io
  names: {kind: ReferenceGrant, listKind: ReferenceGrantList, plural: referencegrants, singular: referencegrant}
  scope: Namespaced
  versions:
    - name: v1beta1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"#;

/// A Service with this spec.
pub(crate) fn service(name: &str, spec: &str) -> String {
    format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

/// A slice of `service` whose endpoints are `address`, `address!`, which ends, or `address?`, which isn't ready.
pub(crate) fn slice(name: &str, service: &str, ports: &str, endpoints: &[&str]) -> String {
    let family = if endpoints.iter().any(|address| address.contains(':')) { "IPv6" } else { "IPv4" };
    let endpoint = |address: &&str| {
        let (ends, unready) = (address.ends_with('!'), address.ends_with('?'));
        let conditions = format!("ready: {}, serving: {}, terminating: {ends}", !(ends || unready), !unready);
        format!("{{addresses: ['{}'], conditions: {{{conditions}}}}}", address.trim_end_matches(['!', '?']))
    };
    let endpoints = endpoints.iter().map(endpoint).collect::<Vec<_>>().join(", ");
    format!(
        "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {service}}}}}
addressType: {family}
ports: {ports}
endpoints: [{endpoints}]
"
    )
}

/// A Backend with one target, the port of a Service.
fn backend(name: &str, service: &str) -> String {
    format!(
        "---
apiVersion: komainu.dev/v1alpha1
kind: Backend
metadata: {{name: {name}}}
spec: {{targets: [{{service: {service}}}]}}
"
    )
}

/// Where requests of a Backend go, once there is a view that has it.
fn targets(leader: &Leader, namespace: &str, name: &str) -> Option<Vec<String>> {
    let view = leader.view()?;
    let listeners = Arc::new(vec![ListenerSettings::http("http", 8080)]);
    let (plan, _) = plan(&World::join(listeners, [&*view]), &Memo::default());
    let Ok(wire::Payload::Endpoints(endpoints)) =
        plan.snapshot.get(&Key::new(Kind::Endpoints, namespace, name))?.decode()
    else {
        return None;
    };
    let place = |target: &wire::Target| match target.ip_address.as_str() {
        "" => format!("{} {}", target.hostname, target.port),
        address => format!("{address} {}", target.port),
    };
    Some(endpoints.targets.iter().map(place).collect())
}

fn until_targets(leader: &Leader, namespace: &str, name: &str, expected: &[&str]) {
    let mut last = None;
    until(&format!("the targets of {name} are {expected:?}"), || {
        last = targets(leader, namespace, name);
        (last.as_ref()? == expected).then_some(())
    });
}

fn until_reason(kubectl: &Kubectl, backend: &str, reason: &str) {
    let path = r#"-o=jsonpath={.status.conditions[?(@.type=="ResolvedRefs")].reason}"#;
    until(&format!("{backend} is {reason}"), || {
        let found = kubectl.must(&["get", "backend", backend, path]).ok()?;
        (found == reason).then_some(())
    });
}

#[test]
fn the_pods_of_all_slices_are_targets() -> anyhow::Result<()> {
    let namespace = Namespace::new("services-slices")?;
    let (name, kubectl) = (namespace.name.as_str(), namespace.kubectl());
    let leader = namespace.leader()?;
    kubectl.apply(&backend("users", "{name: users, port: 80}"))?;
    kubectl.apply(&backend("named", "{name: users, port: admin}"))?;
    until_reason(&kubectl, "users", "ServiceNotFound");
    until_targets(&leader, name, "users", &[]);

    // Selectorless, so nobody but this test makes its slices.
    let ports = "{ports: [{name: http, port: 80, targetPort: 8080}, {name: admin, port: 90}]}";
    kubectl.apply(&service("users", ports))?;
    until_reason(&kubectl, "users", "ResolvedRefs");
    until_targets(&leader, name, "users", &[]);

    let both = "[{name: http, port: 8080}, {name: admin, port: 9090}]";
    kubectl.apply(&slice("users-a", "users", both, &["10.0.0.1", "10.0.0.2"]))?;
    kubectl.apply(&slice("users-b", "users", "[{name: http, port: 8080}]", &["10.0.0.2", "10.0.0.3"]))?;
    kubectl.apply(&slice("users-6", "users", "[{name: http, port: 8080}]", &["fd00::9"]))?;
    until_targets(
        &leader,
        name,
        "users",
        &["10.0.0.1 8080", "10.0.0.2 8080", "10.0.0.3 8080", "fd00::9 8080"],
    );
    until_targets(&leader, name, "named", &["10.0.0.1 9090", "10.0.0.2 9090"]);

    kubectl.apply(&slice("users-a", "users", both, &["10.0.0.1!", "10.0.0.2!"]))?;
    until_targets(&leader, name, "users", &["10.0.0.3 8080", "fd00::9 8080"]);
    // None is ready, so those that end are used as long as they serve.
    until_targets(&leader, name, "named", &["10.0.0.1 9090", "10.0.0.2 9090"]);

    // It is of another Service now.
    kubectl.must(&[
        "label",
        "--overwrite",
        "endpointslice",
        "users-b",
        "kubernetes.io/service-name=others",
    ])?;
    kubectl.must(&["delete", "endpointslice", "users-6"])?;
    until_targets(&leader, name, "users", &["10.0.0.1 8080", "10.0.0.2 8080"]);

    kubectl.apply(&service("users", "{ports: [{name: http, port: 81}, {name: admin, port: 90}]}"))?;
    until_reason(&kubectl, "users", "PortNotFound");
    until_targets(&leader, name, "users", &[]);
    until_reason(&kubectl, "named", "ResolvedRefs");
    kubectl.must(&["delete", "service", "users"])?;
    until_reason(&kubectl, "named", "ServiceNotFound");
    until_targets(&leader, name, "named", &[]);
    kubectl.must(&["wait", "--for=condition=Programmed", "--timeout=30s", "backend/named"])?;
    Ok(())
}

#[test]
fn a_service_may_stand_for_a_name_of_elsewhere() -> anyhow::Result<()> {
    let namespace = Namespace::new("services-outside")?;
    let kubectl = namespace.kubectl();
    kubectl.apply(&service("users", "{type: ExternalName, externalName: users.example.com}"))?;
    kubectl.apply(&backend("users", "{name: users, port: 8443}"))?;
    let leader = namespace.leader()?;
    until_targets(&leader, &namespace.name, "users", &["users.example.com 8443"]);
    Ok(())
}

#[test]
fn other_namespaces_have_to_allow_it() -> anyhow::Result<()> {
    let server = ApiServer::start()?;
    define(&server.kubectl())?;
    for name in ["team-a", "team-b"] {
        server.kubectl().must(&["create", "namespace", name])?;
    }
    let (ours, theirs) = (server.kubectl().within("team-a"), server.kubectl().within("team-b"));
    theirs.apply(&service("users", "{ports: [{port: 80}]}"))?;
    theirs.apply(&slice("users", "users", "[{port: 8080}]", &["10.0.0.1"]))?;
    ours.apply(&backend("users", "{name: users, namespace: team-b, port: 80}"))?;
    let folder = tempfile::tempdir()?;
    let leader = Leader::start(&server, User::Admin, &[], folder.path())?;
    // The cluster knows no grants, so nothing is allowed, and nothing waits for them.
    until_reason(&ours, "users", "RefNotPermitted");
    until_targets(&leader, "team-a", "users", &[]);

    server.kubectl().apply(GRANTS)?;
    let definition = "crd/referencegrants.gateway.networking.k8s.io";
    server.kubectl().must(&["wait", "--for=condition=Established", "--timeout=30s", definition])?;
    let kind = "referencegrants.gateway.networking.k8s.io";
    until("the kind is known", || server.kubectl().must(&["get", kind]).ok());
    let grant = |namespace: &str| {
        format!(
            "---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {{name: users}}
spec:
  from: [{{group: komainu.dev, kind: Backend, namespace: {namespace}}}]
  to: [{{group: '', kind: Service, name: users}}]
"
        )
    };
    theirs.apply(&grant("team-a"))?;
    until_targets(&leader, "team-a", "users", &["10.0.0.1 8080"]);
    until_reason(&ours, "users", "ResolvedRefs");
    theirs.apply(&grant("team-c"))?;
    until_targets(&leader, "team-a", "users", &[]);
    until_reason(&ours, "users", "RefNotPermitted");
    theirs.apply(&grant("team-a"))?;
    until_targets(&leader, "team-a", "users", &["10.0.0.1 8080"]);
    theirs.must(&["delete", "referencegrant", "users"])?;
    until_targets(&leader, "team-a", "users", &[]);

    // Without the definition there are none again, and revisions go on.
    theirs.apply(&grant("team-a"))?;
    until_targets(&leader, "team-a", "users", &["10.0.0.1 8080"]);
    let revision = |leader: &Leader| leader.view()?.as_of.revisions.get(&Kind::Grant).copied();
    let before = revision(&leader);
    server.kubectl().must(&["delete", definition])?;
    until_targets(&leader, "team-a", "users", &[]);
    drop(leader);
    // A leader that never saw it.
    let folder = tempfile::tempdir()?;
    let leader = Leader::start(&server, User::Admin, &[], folder.path())?;
    until_targets(&leader, "team-a", "users", &[]);
    assert!(revision(&leader) >= before, "{:?} {before:?}", revision(&leader));
    Ok(())
}

/// As the node controller says of all pods of nodes that it hasn't heard of.
#[test]
fn after_an_outage_of_the_api_server_pods_that_are_called_unready_get_requests() -> anyhow::Result<()> {
    const OUTAGE: Duration = Duration::from_secs(32);
    let mut server = ApiServer::start()?;
    define(&server.kubectl())?;
    let folder = tempfile::tempdir()?;
    let leader = Leader::start(&server, User::Admin, &[], folder.path())?;
    let with = |endpoints: &[&str]| slice("users-1", "users", "[{port: 8080}]", endpoints);
    let objects = [service("users", "{ports: [{port: 80}]}"), backend("users", "{name: users, port: 80}")];
    server.kubectl().apply(&objects.concat())?;
    server.kubectl().apply(&with(&["10.0.0.1", "10.0.0.2"]))?;
    let are = |expected: &[&str]| until_targets(&leader, "default", "users", expected);
    are(&["10.0.0.1 8080", "10.0.0.2 8080"]);
    // Without an outage it is believed.
    server.kubectl().apply(&with(&["10.0.0.1?", "10.0.0.2"]))?;
    are(&["10.0.0.2 8080"]);
    server.kubectl().apply(&with(&["10.0.0.1", "10.0.0.2"]))?;
    are(&["10.0.0.1 8080", "10.0.0.2 8080"]);

    server.stop_apiserver();
    let stopped = Instant::now();
    within(OUTAGE * 2, "the outage is long", || (stopped.elapsed() > OUTAGE).then_some(()));
    server.start_apiserver()?;
    server.kubectl().apply(&with(&["10.0.0.1?", "10.0.0.2?", "10.0.0.3?"]))?;
    let accepted = ["get", "backend", "users", "-o", "jsonpath={.status.conditions[?(@.type=='Accepted')]}"];
    until("its status says so", || {
        let said = server.kubectl().must(&accepted).ok()?;
        said.contains("2 of its pods are called unready").then_some(())
    });
    are(&["10.0.0.1 8080", "10.0.0.2 8080"]);
    // Whoever is called ready again counts by what is said of it from then on.
    server.kubectl().apply(&with(&["10.0.0.1", "10.0.0.2?", "10.0.0.3?"]))?;
    are(&["10.0.0.1 8080"]);
    Ok(())
}
