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

/// The words of the row that `kubectl get` prints for an object.
fn row(kubectl: &Kubectl, kind: &str, name: &str) -> anyhow::Result<Vec<String>> {
    let printed = kubectl.must(&["get", kind, name, "--no-headers"])?;
    Ok(printed.split_whitespace().map(str::to_owned).collect())
}

/// Waits until `kubectl get` prints a row that begins so.
fn prints(kubectl: &Kubectl, kind: &str, name: &str, expected: &[&str]) {
    until(&format!("{kind} {name} are printed as {expected:?}"), || {
        let words = row(kubectl, kind, name).ok()?;
        words.get(..expected.len()).is_some_and(|words| words == expected).then_some(())
    });
}

fn time_of(object: &Value, type_: &str) -> Value {
    condition(object, type_)["lastTransitionTime"].clone()
}

fn version(object: &Value) -> Value {
    object["metadata"]["resourceVersion"].clone()
}

#[test]
fn programmed_can_be_waited_for() -> anyhow::Result<()> {
    let namespace = Namespace::new("status-waited")?;
    let kubectl = &namespace.kubectl();
    let _leader = namespace.leader()?;
    kubectl.apply(&[backend("users", "one.test"), route("shop", "/shop", "users")].concat())?;
    for name in ["backend/users", "route/shop"] {
        kubectl.must(&["wait", "--for=condition=Programmed", "--timeout=30s", name])?;
        kubectl.must(&["wait", "--for=condition=Ready", "--timeout=30s", name])?;
        let shown = object(kubectl, name)?;
        assert_eq!(shown["status"]["observedGeneration"], 1);
        for type_ in ["Accepted", "ResolvedRefs", "Programmed", "Ready"] {
            let condition = condition(&shown, type_);
            assert_eq!(condition["status"], "True", "{shown:#}");
            assert_eq!(condition["observedGeneration"], 1);
        }
    }
    kubectl.apply(&backend("users", "two.test"))?;
    until("the second generation is shown", || {
        let shown = object(kubectl, "backend/users").ok()?;
        let programmed = condition(&shown, "Programmed");
        (shown["status"]["observedGeneration"] == 2 && programmed["observedGeneration"] == 2).then_some(())
    });
    assert_eq!(row(kubectl, "backends", "users")?[..5], ["users", "1/1", "NotChecked", "RoundRobin", "1"]);
    let wide = kubectl.must(&["get", "routes", "shop", "-o", "wide", "--no-headers"])?;
    assert_eq!(wide.split_whitespace().filter(|word| *word == "True").count(), 3, "{wide}");
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
    assert_eq!(time_of(&done, "Accepted"), time_of(&waiting, "Accepted"), "only what flips gets a new time");

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
    assert!(printed.contains("False") && printed.contains("NotAccepted"), "{printed}");

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

/// Checked targets, by their ids.
fn checked(name: &str, ids: &[&str]) -> String {
    let targets: Vec<_> =
        ids.iter().map(|id| format!("{{id: {id}, hostname: {id}.test, port: 80}}")).collect();
    format!(
        "---
apiVersion: komainu.dev/v1alpha1
kind: Backend
metadata: {{name: {name}}}
spec: {{targets: [{}], healthCheck: {{enabled: true, url: /health}}}}
",
        targets.join(", ")
    )
}

#[test]
fn health_is_shown_as_it_goes_down_and_up() -> anyhow::Result<()> {
    let namespace = Namespace::new("status-health")?;
    let kubectl = &namespace.kubectl();
    let leader = namespace.leader()?;
    let say = |a, b| leader.health.send_replace([("users", vec![("a", a), ("b", b)])].into());
    say(true, true);
    kubectl.apply(&[checked("users", &["a", "b"]), route("shop", "/shop", "users")].concat())?;
    prints(kubectl, "backends", "users", &["users", "2/2", "AllTargetsHealthy", "RoundRobin", "1"]);
    kubectl.must(&["wait", "--for=condition=Ready", "--timeout=30s", "backend/users", "route/shop"])?;
    let healthy = object(kubectl, "backend/users")?;
    assert_eq!(healthy["status"]["worst"], Value::Null);

    say(true, false);
    prints(kubectl, "backends", "users", &["users", "1/2", "Degraded"]);
    let degraded = object(kubectl, "backend/users")?;
    assert_eq!(
        degraded["status"]["worst"],
        serde_json::json!([{ "id": "b", "state": "Out", "reason": "status 503", "workers": 1 }])
    );
    let counts = serde_json::json!({ "total": 2, "ready": 1, "ejected": 0 });
    assert_eq!(degraded["status"]["targets"], counts);
    assert_eq!(condition(&degraded, "Ready")["reason"], "SomeTargetsNotReady");
    assert_eq!(time_of(&degraded, "Ready"), time_of(&healthy, "Ready"), "it serves as before");
    assert_eq!(time_of(&degraded, "Programmed"), time_of(&healthy, "Programmed"));

    say(false, false);
    prints(kubectl, "backends", "users", &["users", "0/2", "NoHealthyTargets"]);
    prints(kubectl, "routes", "shop", &["shop", "/shop", "users", "True", "False"]);
    let none = object(kubectl, "backend/users")?;
    assert_eq!(time_of(&none, "Healthy"), time_of(&degraded, "Healthy"), "it was False before");

    say(true, true);
    prints(kubectl, "backends", "users", &["users", "2/2", "AllTargetsHealthy"]);
    prints(kubectl, "routes", "shop", &["shop", "/shop", "users", "True", "True"]);
    let back = object(kubectl, "backend/users")?;
    assert_eq!(back["status"]["worst"], Value::Null);
    assert_eq!(time_of(&back, "Accepted"), time_of(&healthy, "Accepted"));

    kubectl.apply(&checked("users", &[]))?;
    prints(kubectl, "backends", "users", &["users", "0/0", "NoHealthyTargets"]);
    Ok(())
}

#[test]
fn inline_backends_show_their_health_in_the_route() -> anyhow::Result<()> {
    let namespace = Namespace::new("status-inline")?;
    let kubectl = &namespace.kubectl();
    let leader = namespace.leader()?;
    leader.health.send_replace([("shop~0", vec![("a", false), ("b", true)])].into());
    let spec = "
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {name: shop}
spec:
  matches: [{paths: [{value: /shop}]}]
  backends:
    - inline:
        targets: [{id: a, hostname: a.test, port: 80}, {id: b, hostname: b.test, port: 80}]
        healthCheck: {enabled: true, url: /health}
";
    kubectl.apply(spec)?;
    let degraded = shows(kubectl, "route/shop", "Healthy", "False", "Degraded");
    assert_eq!(degraded["status"]["ready"], "1/2");
    assert_eq!(degraded["status"]["worst"][0]["id"], "0/a");
    assert_eq!(condition(&degraded, "Ready")["status"], "True", "it has a target");
    leader.health.send_replace([("shop~0", vec![("a", false), ("b", false)])].into());
    shows(kubectl, "route/shop", "Ready", "False", "NoHealthyTargets");
    Ok(())
}

#[test]
fn an_overlap_is_told_while_there_is_one() -> anyhow::Result<()> {
    let namespace = Namespace::new("status-overlap")?;
    let kubectl = &namespace.kubectl();
    let _leader = namespace.leader()?;
    let (first, second) = (route("first", "/shop", "users"), route("second", "/shop", "users"));
    kubectl.apply(&[backend("users", "one.test"), first, second].concat())?;
    let told = shows(kubectl, "route/second", "Overlapping", "True", "Shadowed");
    assert_eq!(condition(&told, "Accepted")["status"], "True");
    let message = condition(&told, "Overlapping")["message"].to_string();
    assert!(message.contains("Route status-overlap/first"), "{message}");
    kubectl.must(&["delete", "route", "first"])?;
    until("nothing overlaps any more", || {
        let shown = object(kubectl, "route/second").ok()?;
        condition(&shown, "Overlapping").is_null().then_some(())
    });
    Ok(())
}

/// Each write of a status is another version of the object, and so is each edit.
#[test]
fn an_edit_has_one_write_of_the_status() -> anyhow::Result<()> {
    let namespace = Namespace::new("status-writes")?;
    let kubectl = &namespace.kubectl();
    let leader = namespace.leader()?;
    leader.health.send_replace([("users", vec![("a", true)])].into());
    kubectl.apply(&[checked("users", &["a"]), route("shop", "/shop", "users")].concat())?;
    prints(kubectl, "backends", "users", &["users", "1/1", "AllTargetsHealthy", "RoundRobin", "1"]);
    kubectl.must(&["wait", "--for=condition=Ready", "--timeout=30s", "route/shop"])?;
    let mut watch = kubectl.watch("backend/users")?;
    for edit in 0..10 {
        let root = format!(r#"{{"spec": {{"root": "/{edit}"}}}}"#);
        kubectl.must(&["patch", "backend", "users", "--type=merge", "-p", &root])?;
        let generation = object(kubectl, "backend/users")?["metadata"]["generation"].clone();
        until("the edit is shown", || {
            let shown = object(kubectl, "backend/users").ok()?;
            (condition(&shown, "Ready")["observedGeneration"] == generation).then_some(())
        });
    }
    let last = version(&object(kubectl, "backend/users")?);
    // Each is the object after an edit or after a write.
    let writes = watch.until(last.as_str().unwrap_or_default())?.len() - 10;
    assert!(writes <= 12, "{writes} writes of the status for 10 edits");
    Ok(())
}

#[test]
fn who_may_not_write_writes_nothing_and_later_only_what_differs() -> anyhow::Result<()> {
    let namespace = Namespace::new("status-lease")?;
    let kubectl = &namespace.kubectl();
    let leader = namespace.leader()?;
    kubectl.apply(&backend("users", "one.test"))?;
    shows(kubectl, "backend/users", "Ready", "True", "Ready");
    leader.may_write.send_replace(false);
    kubectl.apply(&[backend("users", "two.test"), backend("orders", "one.test")].concat())?;
    // Another leader writes meanwhile, and shows what it would have shown.
    let other = namespace.leader()?;
    let users = until("the other leader shows the edit", || {
        let shown = object(kubectl, "backend/users").ok()?;
        (condition(&shown, "Ready")["observedGeneration"] == 2).then_some(shown)
    });
    let orders = shows(kubectl, "backend/orders", "Ready", "True", "Ready");
    drop(other);
    leader.may_write.send_replace(true);
    kubectl.apply(&backend("third", "one.test"))?;
    shows(kubectl, "backend/third", "Ready", "True", "Ready");
    assert_eq!(version(&object(kubectl, "backend/users")?), version(&users.0));
    assert_eq!(version(&object(kubectl, "backend/orders")?), version(&orders));
    Ok(())
}

#[test]
fn what_changes_has_an_event() -> anyhow::Result<()> {
    let namespace = Namespace::new("status-events")?;
    let kubectl = &namespace.kubectl();
    let leader = namespace.leader()?;
    leader.health.send_replace([("users", vec![("a", true)])].into());
    kubectl.apply(&checked("users", &["a"]))?;
    shows(kubectl, "backend/users", "Healthy", "True", "AllTargetsHealthy");
    leader.health.send_replace([("users", vec![("a", false)])].into());
    shows(kubectl, "backend/users", "Healthy", "False", "NoHealthyTargets");
    let told = || -> anyhow::Result<Vec<String>> {
        let path = r#"jsonpath={range .items[*]}{.regarding.name}{" "}{.type}{" "}{.reason}{"\n"}{end}"#;
        let printed = kubectl.must(&["get", "events.v1.events.k8s.io", "-o", path])?;
        let mut lines: Vec<_> = printed.lines().map(str::to_owned).collect();
        lines.sort();
        Ok(lines)
    };
    let expected = ["users Normal Programmed", "users Normal Ready", "users Warning NoHealthyTargets"];
    until("all changes have their events", || (told().ok()? == expected).then_some(()));
    Ok(())
}
