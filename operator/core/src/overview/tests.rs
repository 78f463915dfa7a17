use std::collections::{BTreeMap, BTreeSet};

use dataplane_snapshot::{Epoch, Root, SourceAsOf};

use super::*;
use crate::conditions::{Condition, conditions};
use crate::programmed::{Ledger, Verdicts};
use crate::reports::{BackendHealth, TargetHealth};
use crate::used_up::UsedUp;
use crate::{ListenerSettings, Memo, Observed, Origin, Owner, SourceView, Spec, World, plan};

/// A world of Kubernetes' objects, its plan, and what workers say.
#[derive(Default)]
struct Bench {
    objects: crate::ObservedMap,
    memo: Memo,
    ledger: Ledger,
    survey: Survey,
    used_up: UsedUp,
    health: BTreeMap<Key, BackendHealth>,
    told: BTreeSet<Key>,
    verdicts: Verdicts,
    overviews: Overviews,
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

impl Bench {
    fn put(&mut self, name: &str, generation: i64, spec: serde_json::Value) {
        let key = key(name);
        let spec = match key.kind() {
            Kind::Backend => Spec::Backend(Arc::new(serde_json::from_value(spec).unwrap())),
            _ => Spec::Route(Arc::new(serde_json::from_value(spec).unwrap())),
        };
        let labels = Default::default();
        let observed = Observed {
            key: key.clone(),
            spec,
            labels,
            generation,
            uid: String::new(),
            origin: Origin::Kubernetes,
        };
        self.objects.insert(key, Arc::new(observed));
    }

    /// Whether the target gets requests, by one worker.
    fn tell(&mut self, backend: &str, target: &str, is_ready: bool) {
        let told = TargetHealth {
            target: target.into(),
            ready: usize::from(is_ready),
            out: usize::from(!is_ready),
            open_breakers: 0,
            since: None,
            reason: None,
        };
        let health = self.health.entry(key(backend)).or_default();
        health.targets.retain(|known| known.target != told.target);
        health.targets.push(told);
        self.told.insert(key(backend));
    }

    /// Plans and surveys; gives the objects whose overviews are others now.
    fn look(&mut self) -> Vec<String> {
        let view = SourceView {
            owner: Owner::Kubernetes,
            as_of: SourceAsOf {
                epoch: Epoch { id: "one".into(), created_at: 1 },
                revisions: BTreeMap::new(),
            },
            objects: self.objects.clone(),
        };
        let world = World::join(Arc::new(vec![ListenerSettings::http("http", 8080)]), [&view]);
        let (planned, memo) = plan(&world, &self.memo);
        self.memo = memo;
        self.ledger.record(&planned.statuses, &planned.snapshot);
        for key in self.objects.keys() {
            let generation = self.objects.get(key).unwrap().generation;
            self.ledger.latch(key, Owner::Kubernetes, generation);
        }
        self.verdicts = self.ledger.verdicts(&[], Root([0; 32])).clone();
        self.survey.limits(&Arc::new(self.used_up.clone()));
        let health = &self.health;
        let told = std::mem::take(&mut self.told);
        let next = self
            .survey
            .update(&self.verdicts, told, |key| health.get(key).cloned().unwrap_or_default())
            .clone();
        let changed =
            self.overviews.differences(&next, Arc::ptr_eq).map(|(key, _, _)| key.to_string()).collect();
        self.overviews = next;
        changed
    }

    fn condition(&self, object: &str, type_: &str) -> Condition {
        let overview = self.overviews.get(&key(object)).unwrap();
        let all = conditions(overview, &overview.verdict.programmed);
        all.into_iter().find(|one| one.type_.as_str() == type_).unwrap()
    }

    fn shows(&self, object: &str, type_: &str) -> String {
        let Condition { status, reason, message, .. } = self.condition(object, type_);
        format!("{} {reason} {message}", status.as_str()).trim_end().to_owned()
    }

    fn tally(&self, object: &str) -> &Tally {
        &self.overviews.get(&key(object)).unwrap().tally
    }
}

fn checked(ids: &[&str]) -> serde_json::Value {
    let target = |id: &&str| serde_json::json!({ "id": id, "hostname": "a.test", "port": 80 });
    let targets: Vec<_> = ids.iter().map(target).collect();
    serde_json::json!({ "targets": targets, "healthCheck": { "enabled": true, "url": "/health" } })
}

fn to(path: &str, backends: &[&str]) -> serde_json::Value {
    let backends: Vec<_> =
        backends.iter().map(|name| serde_json::json!({ "ref": { "name": name } })).collect();
    serde_json::json!({ "matches": [{ "paths": [{ "value": path }] }], "backends": backends })
}

const USERS: &str = "backend/default/users";
const SHOP: &str = "route/default/shop";

#[test]
fn a_backend_goes_from_healthy_to_degraded_to_none_and_back() {
    let mut bench = Bench::default();
    bench.put(USERS, 1, checked(&["a", "b"]));
    bench.look();
    assert_eq!(
        bench.shows(USERS, "Ready"),
        "True Ready",
        "what nobody told isn't wrong: {}",
        bench.shows(USERS, "Healthy")
    );
    let mut step = |a, b, healthy: &str, ready: &str, tally: &str| {
        bench.tell(USERS, "a", a);
        bench.tell(USERS, "b", b);
        assert_eq!(bench.look(), [USERS]);
        assert!(bench.shows(USERS, "Healthy").starts_with(healthy), "{}", bench.shows(USERS, "Healthy"));
        assert!(bench.shows(USERS, "Ready").starts_with(ready), "{}", bench.shows(USERS, "Ready"));
        assert_eq!(bench.tally(USERS).ready.as_deref(), Some(tally));
    };
    step(true, true, "True AllTargetsHealthy", "True Ready", "2/2");
    step(true, false, "False Degraded", "True SomeTargetsNotReady 1/2 targets are ready", "1/2");
    step(false, false, "False NoHealthyTargets", "False NoHealthyTargets", "0/2");
    step(true, true, "True AllTargetsHealthy", "True Ready", "2/2");
}

#[test]
fn a_route_is_ready_while_one_of_its_backends_is() {
    let mut bench = Bench::default();
    bench.put(USERS, 1, checked(&["a"]));
    bench.put("backend/default/orders", 1, checked(&["a"]));
    bench.put(SHOP, 1, to("/", &["users", "orders"]));
    bench.put("route/default/other", 1, to("/other", &["orders"]));
    bench.look();
    assert_eq!(bench.shows(SHOP, "Ready"), "True Ready");
    bench.tell(USERS, "a", false);
    assert_eq!(bench.look(), [SHOP, USERS], "who doesn't use it isn't looked at");
    assert_eq!(bench.shows(SHOP, "Ready"), "True SomeBackendsNotReady Backend users has no healthy target");
    bench.tell("backend/default/orders", "a", false);
    bench.look();
    let none =
        "False NoHealthyTargets Backend users has no healthy target; Backend orders has no healthy target";
    assert_eq!(bench.shows(SHOP, "Ready"), none);
    bench.objects.remove(&key(USERS));
    bench.look();
    let gone = "False NoHealthyTargets Backend users doesn't exist; Backend orders has no healthy target";
    assert_eq!(bench.shows(SHOP, "Ready"), gone);
    bench.put(USERS, 1, serde_json::json!({ "targets": [{ "hostname": "a.test", "port": 80 }] }));
    bench.look();
    assert_eq!(bench.shows(SHOP, "Ready"), "True SomeBackendsNotReady Backend orders has no healthy target");
    assert_eq!(
        bench.shows(USERS, "Healthy"),
        "Unknown NotChecked there is no health check that is switched on"
    );
    assert_eq!(
        (bench.shows(USERS, "Ready"), bench.tally(USERS).ready.as_deref()),
        ("True Ready".into(), Some("1/1"))
    );
}

#[test]
fn a_backend_without_targets_is_not_ready_though_nobody_checks_it() {
    let mut bench = Bench::default();
    bench.put(USERS, 1, serde_json::json!({ "targets": [] }));
    bench.put(SHOP, 1, to("/", &["users"]));
    bench.look();
    assert_eq!(bench.shows(USERS, "Healthy"), "False NoHealthyTargets there are no targets");
    assert_eq!(bench.shows(USERS, "Ready"), "False NoHealthyTargets there are no targets");
    assert_eq!(bench.tally(USERS).ready.as_deref(), Some("0/0"));
    assert_eq!(bench.shows(SHOP, "Ready"), "False NoHealthyTargets Backend users has no healthy target");
}

#[test]
fn what_is_held_or_refused_is_not_ready_and_its_health_unknown() {
    let mut bench = Bench::default();
    bench.put(USERS, 1, serde_json::json!({ "root": "v1" }));
    bench.put(SHOP, 1, to("/", &["nowhere"]));
    bench.put("route/default/users", 1, to("/users", &["users"]));
    bench.look();
    assert_eq!(bench.shows(USERS, "Healthy"), "Unknown NotAccepted not accepted, see the Accepted condition");
    assert_eq!(bench.shows(USERS, "Ready"), "False NotAccepted see the Accepted condition");
    assert_eq!(bench.tally(USERS).ready, None, "nobody knows which targets workers have");
    assert_eq!(bench.shows(SHOP, "Ready"), "False Held see the ResolvedRefs condition");
    let refused = "False NoHealthyTargets Backend users isn't accepted";
    assert_eq!(bench.shows("route/default/users", "Ready"), refused);
}

#[test]
fn routes_that_use_a_backend_are_counted() {
    let mut bench = Bench::default();
    bench.put(USERS, 1, checked(&["a"]));
    bench.look();
    assert_eq!(bench.tally(USERS).routes, Some(0));
    bench.put(SHOP, 1, to("/", &["users", "users"]));
    let mut copied = to("/copied", &["orders"]);
    copied["filters"] = serde_json::json!({ "requestMirrors": [{ "ref": { "name": "users" } }] });
    bench.put("backend/default/orders", 1, checked(&["a"]));
    bench.put("route/default/copied", 1, copied);
    bench.look();
    assert_eq!(bench.tally(USERS).routes, Some(2), "also who only sends copies, and each once");
    let mut off = to("/", &["users"]);
    off["enabled"] = false.into();
    bench.put(SHOP, 2, off);
    assert_eq!(bench.look(), [SHOP, USERS]);
    assert_eq!(bench.tally(USERS).routes, Some(1), "not who is switched off");
    bench.objects.remove(&key("route/default/copied"));
    bench.look();
    assert_eq!(bench.tally(USERS).routes, Some(0));
    assert!(bench.overviews.get(&key("route/default/copied")).is_none());
}

#[test]
fn inline_backends_have_their_health_in_the_route() {
    let mut bench = Bench::default();
    let mut spec = to("/", &[]);
    spec["backends"] =
        serde_json::json!([{ "inline": checked(&["a"]) }, { "inline": checked(&["a"]), "weight": 0 }]);
    bench.put(SHOP, 1, spec);
    bench.look();
    assert!(bench.shows(SHOP, "Healthy").starts_with("Unknown NotReported"));
    bench.tell("backend/default/shop~0", "a", false);
    bench.tell("backend/default/shop~1", "a", true);
    assert_eq!(bench.look(), [SHOP]);
    assert!(bench.shows(SHOP, "Healthy").starts_with("False Degraded 1/2 targets are ready; 0/a:"));
    let lacking = "False NoHealthyTargets inline backend 0 has no healthy target";
    assert_eq!(bench.shows(SHOP, "Ready"), lacking, "the other one gets no requests");
    assert_eq!(bench.tally(SHOP).ready.as_deref(), Some("1/2"));
    bench.tell("backend/default/shop~0", "a", true);
    bench.look();
    assert_eq!(bench.shows(SHOP, "Ready"), "True Ready");
}

#[test]
fn a_route_without_share_or_without_backends() {
    let mut bench = Bench::default();
    bench.put(USERS, 1, checked(&["a"]));
    let mut spec = to("/", &["users"]);
    spec["backends"][0]["weight"] = 0.into();
    bench.put(SHOP, 1, spec);
    let redirect = serde_json::json!({
        "matches": [{ "paths": [{ "value": "/old" }] }], "filters": { "requestRedirect": { "scheme": "https" } },
    });
    bench.put("route/default/moved", 1, redirect);
    bench.look();
    assert_eq!(bench.shows(SHOP, "Ready"), "False NoHealthyTargets every backend has the weight 0");
    assert_eq!(bench.shows("route/default/moved", "Ready"), "True Ready");
}

#[test]
fn a_route_that_may_not_use_its_backends_is_not_ready() {
    let mut bench = Bench::default();
    bench.put("backend/other/private", 1, checked(&["a"]));
    let mut spec = to("/", &["private"]);
    spec["backends"][0]["ref"]["namespace"] = "other".into();
    bench.put(SHOP, 1, spec.clone());
    bench.look();
    let lacking = "backends[0] may not be used, see ResolvedRefs";
    assert_eq!(bench.shows(SHOP, "Ready"), format!("False NoHealthyTargets {lacking}"));
    bench.put(USERS, 1, checked(&["a"]));
    let own = to("/", &["users"])["backends"][0].clone();
    spec["backends"].as_array_mut().unwrap().push(own);
    bench.put(SHOP, 2, spec);
    bench.tell(USERS, "a", true);
    bench.look();
    assert_eq!(bench.shows(SHOP, "Ready"), format!("True SomeBackendsNotReady {lacking}"));
}

#[test]
fn nothing_new_changes_nothing() {
    let mut bench = Bench::default();
    bench.put(USERS, 1, checked(&["a"]));
    bench.put(SHOP, 1, to("/", &["users"]));
    assert_eq!(bench.look().len(), 2);
    bench.tell(USERS, "a", true);
    assert_eq!(bench.look(), [SHOP, USERS], "the route waits for nobody's word any more");
    bench.tell(USERS, "b", true);
    assert!(bench.look().is_empty(), "it has no such target");
    bench.tell(USERS, "a", true);
    bench.told.insert(key("backend/default/unknown"));
    assert!(bench.look().is_empty());
}

#[test]
fn a_limit_that_is_used_up_is_shown_while_it_is() {
    let mut bench = Bench::default();
    bench.put("route/default/a", 1, serde_json::json!({ "matches": [{}], "backends": [{ "inline": { "targets": [{ "hostname": "a.test", "port": 80 }] } }] }));
    bench.look();
    let shown = |bench: &Bench| {
        let overview = bench.overviews.get(&key("route/default/a")).unwrap();
        let all = conditions(overview, &overview.verdict.programmed);
        all.into_iter().find(|one| one.type_.as_str() == "LimitReached").map(|one| one.message)
    };
    assert_eq!(shown(&bench), None);
    bench.used_up.insert(key("route/default/a"), "all 3 requests of the day are used".into());
    assert_eq!(bench.look(), ["route/default/a"]);
    assert_eq!(shown(&bench).as_deref(), Some("all 3 requests of the day are used"));
    assert_eq!(bench.look(), [""; 0]);
    bench.used_up.clear();
    assert_eq!(bench.look(), ["route/default/a"]);
    assert_eq!(shown(&bench), None);
}
