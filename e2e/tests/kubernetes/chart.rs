//! What the chart makes, as a real API server takes it: every field is known, every pod keeps to restricted pod security, and
//! nobody has more rights than they need.

use std::sync::Arc;

use e2e::kube::{ApiServer, Kubectl, Ran};

use crate::fixture::define;

const INSTALL: &str = include_str!("../../../manifests/install.yaml");
const EVERYTHING: &str = include_str!("../../../charts/tests/everything.yaml");
const NAMESPACES: &str = include_str!("../../../charts/tests/namespaces.yaml");
const HOST_PORTS: &str = include_str!("../../../charts/tests/host-ports.yaml");
const EXAMPLES: [&str; 4] = [
    include_str!("../../../examples/kubernetes/echo.yaml"),
    include_str!("../../../examples/kubernetes/hello.yaml"),
    include_str!("../../../examples/kubernetes/inline.yaml"),
    include_str!("../../../examples/kubernetes/canary.yaml"),
];

/// Of kinds that a plain cluster doesn't have.
const OTHERS: [&str; 2] = ["cert-manager.io/", "monitoring.coreos.com/"];

/// Where the renders put everything.
const NAMESPACE: &str = "komainu-system";

/// The namespaces of the renders on the shared server, in which pods that aren't restricted are told of by a warning. Their default
/// ServiceAccounts would come from a controller, which doesn't run here.
fn prepare() -> anyhow::Result<(Arc<ApiServer>, Kubectl)> {
    let server = ApiServer::shared()?;
    let kubectl = server.kubectl();
    define(&kubectl)?;
    for name in [NAMESPACE, "shop", "blog"] {
        let namespace = format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: \
             {{pod-security.kubernetes.io/warn: restricted}}}}}}\n---\n\
             {{apiVersion: v1, kind: ServiceAccount, metadata: {{name: default, namespace: {name}}}}}"
        );
        kubectl.must_with(&namespace, &["apply", "--server-side", "--field-manager=e2e", "-f", "-"])?;
    }
    Ok((server, kubectl))
}

/// Asks what the API server would do with the objects of kinds that it has.
fn try_out(kubectl: &Kubectl, yaml: &str) -> anyhow::Result<Ran> {
    let documents = yaml.split("\n---\n");
    let known = documents.filter(|document| !OTHERS.iter().any(|group| document.contains(group)));
    let yaml = known.collect::<Vec<_>>().join("\n---\n");
    let arguments =
        ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-"];
    kubectl.run_with(&yaml, &arguments)
}

#[test]
fn everything_that_is_rendered_is_taken_and_restricted() -> anyhow::Result<()> {
    let (_server, kubectl) = prepare()?;
    let rendered = [INSTALL, EVERYTHING, NAMESPACES].map(|yaml| (kubectl.clone(), yaml));
    // These name no namespace.
    let examples = EXAMPLES.map(|yaml| (kubectl.clone().within(NAMESPACE), yaml));
    for (kubectl, yaml) in rendered.into_iter().chain(examples) {
        let ran = try_out(&kubectl, yaml)?;
        assert!(ran.is_success && ran.stderr.is_empty(), "{}{}", ran.stdout, ran.stderr);
    }
    // What is seen if one isn't.
    let ran = try_out(&kubectl, HOST_PORTS)?;
    assert!(ran.is_success && ran.stderr.contains("hostPort"), "{}{}", ran.stdout, ran.stderr);
    Ok(())
}

/// A verb, what it is done to, where, and whether a leader may.
type Right = (&'static str, &'static str, &'static str, bool);

const OF_LEADERS_EVERYWHERE: [Right; 23] = [
    ("list", "routes.komainu.dev", "shop", true),
    ("watch", "backends.komainu.dev", "default", true),
    ("patch", "routes.komainu.dev/status", "shop", true),
    ("patch", "routes.komainu.dev", "shop", false),
    ("delete", "backends.komainu.dev", "shop", false),
    ("watch", "services", "shop", true),
    ("watch", "endpointslices.discovery.k8s.io", "shop", true),
    ("patch", "services", "shop", false),
    ("list", "secrets", "shop", true),
    ("get", "secrets", "shop", false),
    ("create", "secrets", NAMESPACE, false),
    ("create", "events.events.k8s.io", "shop", true),
    ("get", "namespaces/kube-system", "kube-system", true),
    ("get", "namespaces/shop", "shop", false),
    ("get", "nodes/node1", "", true),
    ("list", "nodes", "", false),
    ("watch", "pods", NAMESPACE, true),
    ("list", "pods", "shop", false),
    ("create", "pods", NAMESPACE, false),
    ("create", "leases.coordination.k8s.io", NAMESPACE, true),
    ("update", "leases.coordination.k8s.io/komainu-leader", NAMESPACE, true),
    ("update", "leases.coordination.k8s.io/another", NAMESPACE, false),
    ("create", "leases.coordination.k8s.io", "shop", false),
];

const OF_LEADERS_IN_NAMESPACES: [Right; 10] = [
    ("watch", "routes.komainu.dev", "shop", true),
    ("watch", "routes.komainu.dev", "default", false),
    ("watch", "services", "blog", true),
    ("list", "secrets/upstream-ca", "shop", true),
    ("list", "secrets/site", "shop", true),
    ("list", "secrets/another", "shop", false),
    ("list", "secrets", "blog", false),
    ("list", "secrets/site", NAMESPACE, true),
    ("get", "namespaces/kube-system", "kube-system", true),
    ("get", "nodes/node1", "", false),
];

#[test]
fn leaders_have_the_rights_that_they_need_and_workers_none() -> anyhow::Result<()> {
    let (_server, kubectl) = prepare()?;
    let roles = |yaml: &str| {
        let documents = yaml.split("\n---\n");
        let roles = documents.filter(|document| document.contains("rbac.authorization.k8s.io"));
        roles.collect::<Vec<_>>().join("\n---\n")
    };
    for (yaml, rights) in [(INSTALL, &OF_LEADERS_EVERYWHERE[..]), (NAMESPACES, &OF_LEADERS_IN_NAMESPACES[..])]
    {
        kubectl.must_with(&roles(yaml), &["apply", "--server-side", "-f", "-"])?;
        for (verb, resource, namespace, expected) in rights {
            let may = may(&kubectl, "leader", verb, resource, namespace)?;
            assert_eq!(may, *expected, "a leader: {verb} {resource} in {namespace:?}");
            assert!(
                !self::may(&kubectl, "worker", verb, resource, namespace)?,
                "a worker: {verb} {resource}"
            );
        }
        kubectl.must_with(&roles(yaml), &["delete", "--wait", "-f", "-"])?;
    }
    Ok(())
}

fn may(kubectl: &Kubectl, who: &str, verb: &str, resource: &str, namespace: &str) -> anyhow::Result<bool> {
    let who = format!("--as=system:serviceaccount:{NAMESPACE}:komainu-{who}");
    let (resource, subresource) = match resource.strip_suffix("/status") {
        Some(resource) => (resource, "--subresource=status"),
        None => (resource, "--subresource="),
    };
    let arguments = ["auth", "can-i", verb, resource, subresource, &who, "--namespace", namespace];
    Ok(kubectl.run(&arguments)?.stdout.trim_start().starts_with("yes"))
}
