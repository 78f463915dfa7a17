//! Statuses are shown as conditions.

use e2e::kube::Kubectl;
use e2e::process::until;
use serde_json::Value;

use crate::fixture::{Namespace, Worker, backend, route};

fn object(kubectl: &Kubectl, name: &str) -> anyhow::Result<Value> {
    let shown = kubectl.must(&["get", name, "-o", "json", "--show-managed-fields"])?;
    Ok(serde_json::from_str(&shown)?)
}

fn condition(object: &Value, type_: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|one| one["type"] == type_).unwrap_or_default()
}

/// Waits until the condition has this status, and gives the object.
fn shows(kubectl: &Kubectl, name: &str, type_: &str, status: &str, reason: &str) -> Value {
    let (object, _) = until(&format!("{name} shows {type_}={status} {reason}"), || {
        let object = object(kubectl, name).ok()?;
        let shown = condition(&object, type_);
        (shown["status"] == status && shown["reason"] == reason).then_some(object)
    });
    object
}

#[test]
fn programmed_can_be_waited_for() -> anyhow::Result<()> {
    let namespace = Namespace::new("status-waited")?;
    let kubectl = namespace.kubectl();
    let _leader = namespace.leader()?;
    kubectl.apply(&[backend("users", "one.test"), route("shop", "/shop", "users")].concat())?;
    for name in ["backend/users", "route/shop"] {
        kubectl.must(&["wait", "--for=condition=Programmed", "--timeout=30s", name])?;
        let shown = object(&kubectl, name)?;
        assert_eq!(shown["status"]["observedGeneration"], 1);
        for type_ in ["Accepted", "ResolvedRefs", "Programmed"] {
            let condition = condition(&shown, type_);
            assert_eq!(condition["status"], "True", "{shown:#}");
            assert_eq!(condition["observedGeneration"], 1);
        }
    }
    kubectl.apply(&backend("users", "two.test"))?;
    until("the second generation is shown", || {
        let shown = object(&kubectl, "backend/users").ok()?;
        let programmed = condition(&shown, "Programmed");
        (shown["status"]["observedGeneration"] == 2 && programmed["observedGeneration"] == 2).then_some(())
    });
    let printed = kubectl.must(&["get", "backends"])?;
    let row = printed.lines().find(|line| line.starts_with("users ")).unwrap_or_default();
    assert_eq!(row.split_whitespace().filter(|word| *word == "True").count(), 2, "{printed}");
    Ok(())
}

#[test]
fn it_is_said_when_workers_are_missing_and_kept_when_they_go() -> anyhow::Result<()> {
    let namespace = Namespace::new("status-workers")?;
    let kubectl = namespace.kubectl();
    let leader = namespace.leader()?;
    leader.workers.send_replace(vec![Worker::Prompt, Worker::Stuck]);
    kubectl.apply(&backend("users", "one.test"))?;
    let waiting = shows(&kubectl, "backend/users", "Programmed", "False", "Propagating");
    assert_eq!(condition(&waiting, "Programmed")["message"], "1/2");
    leader.workers.send_replace(vec![Worker::Prompt, Worker::Prompt]);
    let done = shows(&kubectl, "backend/users", "Programmed", "True", "Programmed");
    let since = |object: &Value, type_: &str| condition(object, type_)["lastTransitionTime"].clone();
    assert_eq!(since(&done, "Accepted"), since(&waiting, "Accepted"), "only what flips gets a new time");

    // No worker at all: what was programmed stays so, and only the new object waits.
    leader.workers.send_replace(Vec::new());
    kubectl.apply(&backend("orders", "one.test"))?;
    shows(&kubectl, "backend/orders", "Programmed", "False", "NoWorkers");
    let kept = object(&kubectl, "backend/users")?;
    assert_eq!(
        kept["metadata"]["resourceVersion"], done["metadata"]["resourceVersion"],
        "nothing was written"
    );
    Ok(())
}

#[test]
fn a_refusal_says_why_and_stops_nobody() -> anyhow::Result<()> {
    let namespace = Namespace::new("status-refusal")?;
    let kubectl = namespace.kubectl();
    let _leader = namespace.leader()?;
    let later = "
apiVersion: komainu.dev/v1alpha1
kind: Backend
metadata: {name: later}
spec: {targets: [{hostname: a.test, port: 443, protocol: HTTP/3.0}]}
";
    kubectl.apply(&[later, &route("lost", "/lost", "nowhere"), &backend("users", "one.test")].join("\n"))?;
    let refused = shows(&kubectl, "backend/later", "Accepted", "False", "NotSupportedYet");
    let message = condition(&refused, "Accepted")["message"].to_string();
    assert!(
        message.contains("spec.targets[0].protocol") && message.contains("not supported yet"),
        "{message}"
    );
    shows(&kubectl, "route/lost", "ResolvedRefs", "False", "BackendNotFound");
    shows(&kubectl, "backend/users", "Programmed", "True", "Programmed");
    let printed = kubectl.must(&["get", "backend", "later", "-o", "wide"])?;
    assert!(printed.contains("False") && printed.contains("NotSupportedYet"), "{printed}");

    kubectl.apply(&backend("nowhere", "one.test"))?;
    shows(&kubectl, "route/lost", "Programmed", "True", "Programmed");
    Ok(())
}

#[test]
fn only_own_conditions_are_written_and_only_on_change() -> anyhow::Result<()> {
    let namespace = Namespace::new("status-own")?;
    let kubectl = namespace.kubectl();
    kubectl.apply(&backend("users", "one.test"))?;
    let foreign = r#"{"status": {"conditions": [{"type": "Audited", "status": "True", "reason": "Seen", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}"#;
    kubectl.must(&["patch", "backend", "users", "--subresource=status", "--type=merge", "-p", foreign])?;
    let leader = namespace.leader()?;
    let written = shows(&kubectl, "backend/users", "Programmed", "True", "Programmed");
    assert_eq!(condition(&written, "Audited")["reason"], "Seen");
    let managers = written["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let ours: Vec<_> = managers.iter().filter(|one| one["manager"] == "komainu-status").collect();
    assert_eq!(ours.len(), 1, "{managers:?}");
    assert_eq!(
        (&ours[0]["operation"], &ours[0]["subresource"]),
        (&Value::from("Apply"), &Value::from("status"))
    );
    assert!(!ours[0]["fieldsV1"].to_string().contains("Audited"));

    // A leader that starts anew sees that everything is said already. The other object tells when it is through.
    drop(leader);
    let _leader = namespace.leader()?;
    kubectl.apply(&backend("orders", "one.test"))?;
    shows(&kubectl, "backend/orders", "Programmed", "True", "Programmed");
    let after = object(&kubectl, "backend/users")?;
    assert_eq!(after["metadata"]["resourceVersion"], written["metadata"]["resourceVersion"]);
    Ok(())
}
