//! Of the Secrets of a cluster those that are named are read, and followed.

use std::sync::Arc;

use dataplane_snapshot::{Key, Kind, Object, wire};
use e2e::kube::Kubectl;
use e2e::process::until;
use operator_core::{ListenerSettings, Memo, Plan, World, plan};

use crate::fixture::{Leader, Namespace, backend};

/// A Secret with these entries.
fn secret(name: &str, type_: &str, entries: &[(&str, &str)]) -> String {
    let entry = |(key, text): &(&str, &str)| format!("  {key}: |\n    {}\n", text.replace('\n', "\n    "));
    let entries: String = entries.iter().map(entry).collect();
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: {type_}\nstringData:\n{entries}"
    )
}

fn tls(name: &str) -> anyhow::Result<String> {
    let pair = rcgen::generate_simple_self_signed(vec![format!("{name}.test")])?;
    let (certificate, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    Ok(secret(name, "kubernetes.io/tls", &[("tls.crt", &certificate), ("tls.key", &key)]))
}

/// A Backend with TLS and a forward proxy.
const USERS: &str = "---
apiVersion: komainu.dev/v1alpha1
kind: Backend
metadata: {name: users}
spec:
  targets:
    - {hostname: users.test, port: 443, tls: true, tlsConfig: {enabled: true, certs: [own], trustedCerts: [signers]}}
  client: {proxy: {host: proxy.test, port: 3128, principal: komainu, passwordSecret: {name: proxy, key: password}}}
";

fn planned(leader: &Leader) -> Option<Plan> {
    let view = leader.view()?;
    let listeners = Arc::new(vec![ListenerSettings::http("http", 8080)]);
    Some(plan(&World::join(listeners, [&*view]), &Memo::default()).0)
}

fn object(leader: &Leader, key: &Key) -> Option<Object> {
    planned(leader)?.snapshot.get(key).cloned()
}

fn until_reason(kubectl: &Kubectl, reason: &str, part: &str) {
    let path =
        r#"-o=jsonpath={range .status.conditions[?(@.type=="ResolvedRefs")]}{.reason} {.message}{end}"#;
    until(&format!("users is {reason}: {part}"), || {
        let found = kubectl.must(&["get", "backend", "users", path]).ok()?;
        (found.starts_with(&format!("{reason} ")) && found.contains(part)).then_some(())
    });
}

#[test]
fn secrets_that_are_named_are_followed() -> anyhow::Result<()> {
    let namespace = Namespace::new("secrets-named")?;
    let kubectl = namespace.kubectl();
    let key = |kind, name: &str| Key::new(kind, &namespace.name, name);
    let leader = namespace.leader()?;
    kubectl.apply(&[USERS, &backend("others", "a.test")].concat())?;
    until_reason(&kubectl, "CertificateNotFound", "create a Secret");
    kubectl.must(&["wait", "--for=condition=Programmed", "--timeout=30s", "backend/others"])?;

    let signer = rcgen::generate_simple_self_signed(vec!["signer.test".to_owned()])?.cert.pem();
    kubectl.apply(&[tls("own")?, secret("signers", "Opaque", &[("ca.crt", &signer)])].concat())?;
    until_reason(&kubectl, "SecretNotFound", "proxy");
    kubectl.apply(&secret("proxy", "Opaque", &[("password", "hush")]))?;
    until_reason(&kubectl, "ResolvedRefs", "");
    kubectl.must(&["wait", "--for=condition=Programmed", "--timeout=30s", "backend/users"])?;
    let password = key(Kind::Backend, "users").proxy_password();
    let now = until("the password is planned", || object(&leader, &password)).0.decode()?;
    let expected = wire::SecretKind::Password("hush".to_owned());
    assert_eq!(now, wire::Payload::Secret(wire::Secret { kind: Some(expected) }));

    // Renewed, with another key.
    let own = key(Kind::Certificate, "own");
    let before = object(&leader, &own);
    kubectl.apply(&tls("own")?)?;
    until("the new one is planned", || {
        let now = object(&leader, &own);
        (now.is_some() && now != before).then_some(())
    });

    // What nobody names isn't read, and what is wrong concerns who names it.
    kubectl.apply(&tls("unnamed")?)?;
    kubectl.apply(&secret("signers", "Opaque", &[("ca.crt", "nonsense")]))?;
    until_reason(&kubectl, "CertificateNotAccepted", "ca.crt");
    assert_eq!(object(&leader, &key(Kind::Certificate, "unnamed")), None);
    kubectl.must(&["wait", "--for=condition=ResolvedRefs", "--timeout=30s", "backend/others"])?;
    kubectl.must(&["delete", "secret", "own"])?;
    until_reason(&kubectl, "CertificateNotFound", "own");

    kubectl.must(&["delete", "backend", "users"])?;
    until("nothing of the Secrets is left", || {
        let view = leader.view()?;
        let is_secret = |key: &Key| matches!(key.kind(), Kind::Certificate | Kind::Secret);
        (!view.objects.keys().any(is_secret)).then_some(())
    });
    Ok(())
}
