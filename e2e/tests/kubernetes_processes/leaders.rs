//! Several leaders on one API server, and workers that are known by the tokens of their pods.

use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::kube::{ApiServer, Kubectl, User};
use e2e::process::{CREDENTIALS, Gateway, Program, get, request, until, within};
use e2e::servers::Server;

use crate::beside_others;

/// The namespace of the gateway: that of the kubeconfig, as a leader's own is that of its pod.
const GATEWAY: &str = "default";

const ROUTE: &str = "
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {name: NAME}
spec:
  matches: [{paths: [{value: /NAME}]}]
  backends: [{inline: {targets: [{hostname: 127.0.0.1, port: PORT}]}}]
";

/// An API server with the definitions, the namespace of the gateway, and the accounts of its workers and leaders.
struct Site {
    server: ApiServer,
    folder: tempfile::TempDir,
    _echo: Program,
    echo: u16,
}

impl Site {
    fn start() -> anyhow::Result<Self> {
        let server = ApiServer::start()?;
        let kubectl = server.kubectl();
        kubectl.must_with(&crds::to_yaml(), &["apply", "--server-side", "-f", "-"])?;
        for crd in ["crd/backends.komainu.dev", "crd/routes.komainu.dev"] {
            kubectl.must(&["wait", "--for=condition=Established", "--timeout=30s", crd])?;
        }
        for account in ["worker", "leader", "stranger"] {
            kubectl.must(&["create", "serviceaccount", account, "--namespace", GATEWAY])?;
        }
        let folder = tempfile::tempdir()?;
        let (_echo, echo) = Program::echo("one", folder.path());
        Ok(Self { server, folder, _echo, echo })
    }

    fn kubectl(&self) -> Kubectl {
        self.server.kubectl().within(GATEWAY)
    }

    /// A pod of this account that is ready, as a kubelet would say it, and the file with its token.
    fn pod(&self, name: &str, account: &str) -> anyhow::Result<PathBuf> {
        self.kubectl().apply(&format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: {account}}}}}, spec: {{serviceAccountName: \
             {account}, nodeName: node-of-{name}, containers: [{{name: it, image: none}}]}}}}"
        ))?;
        self.set_ready(name, true)?;
        self.token(name, account, "komainu")
    }

    fn set_ready(&self, pod: &str, ready: bool) -> anyhow::Result<()> {
        let status = if ready { "True" } else { "False" };
        let patch =
            format!("{{\"status\":{{\"conditions\":[{{\"type\":\"Ready\",\"status\":\"{status}\"}}]}}}}");
        self.kubectl().must(&[
            "patch",
            "pod",
            pod,
            "--subresource=status",
            "--type=merge",
            "--patch",
            &patch,
        ])?;
        Ok(())
    }

    fn token(&self, pod: &str, account: &str, audience: &str) -> anyhow::Result<PathBuf> {
        let token = self.kubectl().must(&[
            "create",
            "token",
            account,
            "--audience",
            audience,
            "--bound-object-kind=Pod",
            "--bound-object-name",
            pod,
        ])?;
        let file = self.folder.path().join(format!("{pod}-{audience}.token"));
        std::fs::write(&file, token)?;
        Ok(file)
    }

    fn leader(&self, name: &str) -> Gateway {
        let kubeconfig = format!("KUBECONFIG={}", self.server.kubeconfig(User::Admin).display());
        Gateway::bare_leader(&self.folder.path().join(name))
            .started_by(&["env", &kubeconfig])
            .with("cluster.leader.name", name)
            .with("kubernetes.enabled", true)
            .with("kubernetes.workers.serviceAccount", format!("{GATEWAY}/worker"))
    }

    /// One that has nothing but its token to be known by.
    fn worker(&self, name: &str, leader: &Gateway, token: &Path) -> Gateway {
        Gateway::worker(self.folder.path(), name, leader)
            .with("cluster.leader.clientSecret", "not the secret of the leader")
            .with("cluster.worker.tokenFile", token.display())
    }

    fn apply_route(&self, name: &str) -> anyhow::Result<()> {
        let route = ROUTE.replace("NAME", name).replace("PORT", &self.echo.to_string());
        self.kubectl().apply(&route).map(|_| ())
    }

    /// Waits until the condition Programmed of a route is so: its status, reason and message.
    fn programmed(&self, route: &str, expected: [&str; 3]) {
        let path = "jsonpath={.status.conditions[?(@.type==\"Programmed\")]}";
        until(&format!("Programmed of {route} is {expected:?}"), || {
            let text = self.kubectl().must(&["get", "route", route, "-o", path]).ok()?;
            let condition: serde_json::Value = serde_json::from_str(&text).ok()?;
            let is = |field: &str, value: &str| {
                condition[field].as_str().is_some_and(|text| text.starts_with(value))
            };
            let fields = ["status", "reason", "message"];
            fields.into_iter().zip(expected).all(|(field, value)| is(field, value)).then_some(())
        });
    }
}

#[test]
fn workers_are_known_by_the_tokens_of_their_pods() -> anyhow::Result<()> {
    let _others = beside_others();
    let mut site = Site::start()?;
    let leader = site.leader("leader");
    let _leader = leader.start_ready();
    site.apply_route("hello")?;
    let token = site.pod("worker-1", "worker")?;
    let worker = site.worker("worker-1", &leader, &token);
    let _worker = worker.start_ready();
    until("what the leader has is served", || get(worker.port, "/hello").ok().filter(|it| it.status == 200));

    site.pod("stranger-1", "stranger")?;
    for token in
        [site.token("stranger-1", "stranger", "komainu")?, site.token("worker-1", "worker", "other")?]
    {
        let refused = site.worker("refused", &leader, &token).with("cluster.worker.bootWait", "100ms");
        let _refused = refused.start();
        until("a token of somebody else isn't taken", || {
            let ready = get(refused.admin, "/ready").ok()?;
            (ready.status != 200 && ready.body.contains("doesn't accept")).then_some(())
        });
    }
    // The admin API isn't for workers.
    let bearer = format!("Bearer {}", std::fs::read_to_string(&token)?.trim());
    let listed = request(leader.admin, "GET", "/api/cluster/members", &[("authorization", &bearer)], "")?;
    assert_eq!(listed.status, 403, "{}", listed.body);
    assert_eq!(request(leader.admin, "GET", "/api/routes", &[("authorization", &bearer)], "")?.status, 401);

    // Its keys are known, so workers are known while the API server is down.
    site.server.stop_apiserver();
    let late = site.worker("late", &leader, &token);
    let _late = late.start_ready();
    Ok(())
}

#[test]
fn ready_pods_are_counted_connected_or_not() -> anyhow::Result<()> {
    let _others = beside_others();
    let site = Site::start()?;
    let leader = site.leader("leader").with("kubernetes.workers.selector", "app=worker");
    let _leader = leader.start_ready();
    let token = site.pod("worker-1", "worker")?;
    site.pod("worker-2", "worker")?;
    let worker = site.worker("worker-1", &leader, &token);
    let _worker = worker.start_ready();
    site.apply_route("hello")?;
    site.programmed("hello", ["False", "WorkerLost", "1/2; worker worker-2"]);

    // A pod that isn't ready gets no traffic, so nobody waits for it.
    site.set_ready("worker-2", false)?;
    site.programmed("hello", ["True", "Programmed", ""]);
    site.set_ready("worker-2", true)?;
    site.apply_route("other")?;
    site.programmed("other", ["False", "WorkerLost", "1/2"]);
    site.programmed("hello", ["True", "Programmed", ""]);
    site.kubectl().must(&["delete", "pod", "worker-2", "--force", "--grace-period=0"])?;
    site.programmed("other", ["True", "Programmed", ""]);
    Ok(())
}

#[test]
fn of_two_leaders_one_writes_and_knows_what_the_workers_of_both_say() -> anyhow::Result<()> {
    let _others = beside_others();
    let site = Site::start()?;
    let leaders = ["leader-1", "leader-2"].map(|name| -> anyhow::Result<Gateway> {
        let token = site.pod(name, "leader")?;
        let leader = site.leader(name);
        let url = format!("http://127.0.0.1:{}", leader.admin);
        Ok(leader
            .with("cluster.leader.clientSecret", name)
            .with("cluster.leader.replicas", 2)
            .with("cluster.leader.advertisedUrl", url)
            .with("cluster.leader.tokenFile", token.display())
            .with("kubernetes.leaders.serviceAccount", format!("{GATEWAY}/leader"))
            .with("kubernetes.workers.selector", "app=worker")
            .with("kubernetes.lease", "komainu"))
    });
    let [one, two] = leaders.map(|leader| leader.expect("a leader"));
    let programs = [one.start_ready(), two.start_ready()];
    let holder = || -> Option<usize> {
        let path = "jsonpath={.spec.holderIdentity}";
        let name = site.kubectl().must(&["get", "lease", "komainu", "-o", path]).ok()?;
        ["leader-1", "leader-2"].iter().position(|leader| *leader == name)
    };
    let (first, _) = until("one holds the Lease", holder);
    let mut workers = Vec::new();
    for (name, leader) in [("worker-1", &one), ("worker-2", &two)] {
        let token = site.pod(name, "worker")?;
        let other = if name == "worker-1" { two.admin } else { one.admin };
        let worker = site
            .worker(name, leader, &token)
            .with("cluster.leader.urls.1", format!("http://127.0.0.1:{other}"));
        workers.push((worker.start_ready(), worker));
    }
    site.apply_route("hello")?;
    site.programmed("hello", ["True", "Programmed", ""]);

    // Who ends in order releases the Lease, and nobody waits for its end.
    let mut programs = programs.map(Some);
    let mut ended = programs[first].take().expect("it runs");
    ended.signal("TERM");
    until("it has ended", || ended.exited());
    let (second, took) = until("the other holds the Lease", || holder().filter(|now| *now != first));
    assert!(took < Duration::from_secs(10), "{took:?}: it waited for the end of the Lease");
    assert_ne!(first, second);
    site.apply_route("later")?;
    site.programmed("later", ["True", "Programmed", ""]);
    for (_, worker) in &workers {
        until("both serve it", || get(worker.port, "/later").ok().filter(|answer| answer.status == 200));
    }
    Ok(())
}

/// Of kinds that nothing happens to, watches tell once a minute only how far they are.
#[test]
fn a_leader_that_knows_less_of_a_quiet_kind_catches_up_with_its_workers() -> anyhow::Result<()> {
    let _others = beside_others();
    let site = Site::start()?;
    let token = site.pod("worker", "worker")?;
    // So their stores, of which each has its own, don't count.
    let leaders = ["older", "newer"].map(|name| site.leader(name).with("cluster.leader.replicas", 2));
    let [older, newer] = leaders;
    let _older = older.start_ready();
    // Whatever happens raises the revision that a list is as of.
    site.kubectl().must(&["create", "configmap", "any"])?;
    let first = newer.start_ready();
    let mut before = site.worker("worker", &newer, &token).start_ready();
    before.signal("TERM");
    until("it has ended, and has on disk what it served", || before.exited());
    drop(first);
    let worker = site.worker("worker", &older, &token).with("cluster.worker.bootWait", "100ms");
    let after = worker.start_ready();
    site.apply_route("later")?;
    let is_later = || get(worker.port, "/later").ok().filter(|answer| answer.status == 200);
    within(Duration::from_secs(25), "it is served", is_later);
    assert!(after.log().contains("StaleLeader"), "it has never refused what the older one had");
    Ok(())
}

#[test]
fn several_leaders_without_a_shared_store_take_no_writes() -> anyhow::Result<()> {
    let _others = beside_others();
    let folder = tempfile::tempdir()?;
    let leader = Gateway::bare_leader(folder.path()).with("cluster.leader.replicas", 2);
    let resources = folder.path().join("resources");
    std::fs::create_dir(&resources)?;
    let leader = leader.with("resources", resources.display());
    let _leader = leader.start_ready();
    let headers = [("otoroshi-client-id", CREDENTIALS.0), ("otoroshi-client-secret", CREDENTIALS.1)];
    let answer = request(leader.admin, "POST", "/api/backends", &headers, "{\"id\":\"users\"}")?;
    assert_eq!((answer.status, &answer.json()["error"]), (409, &"no_shared_store".into()), "{}", answer.body);
    Ok(())
}

/// Served by workers in zones of the west only.
const WEST: &str = "
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {name: west}
spec:
  matches: [{paths: [{value: /west}]}]
  backends:
    - inline:
        targets: [{hostname: 127.0.0.1, port: PORT, predicate: {type: NetworkLocationMatch, region: west, zone: west-*}}]
";

#[test]
fn workers_are_told_where_their_node_is() -> anyhow::Result<()> {
    let _others = beside_others();
    let site = Site::start()?;
    let kubectl = site.kubectl();
    let labels = "topology.kubernetes.io/region: west, topology.kubernetes.io/zone: west-1";
    kubectl.apply(&format!(
        "{{apiVersion: v1, kind: Node, metadata: {{name: node-of-near, labels: {{{labels}}}}}}}"
    ))?;
    kubectl.apply(&WEST.replace("PORT", &site.echo.to_string()))?;
    let leader = site.leader("leader");
    let running = leader.start_ready();
    let near = site.worker("near", &leader, &site.pod("near", "worker")?);
    let started = near.start_ready();
    until("it knows where it is", || get(near.port, "/west").ok().filter(|answer| answer.status == 200));
    let headers = [("otoroshi-client-id", CREDENTIALS.0), ("otoroshi-client-secret", CREDENTIALS.1)];
    until("the list of members tells it", || {
        let listed = request(leader.admin, "GET", "/api/cluster/members", &headers, "").ok()?.json();
        let row = listed.as_array()?.iter().find(|row| row["name"] == "near")?.clone();
        (row["location"]["region"] == "west" && row["location"]["zone"] == "west-1").then_some(())
    });

    // Of the other one's node nothing is known but the name.
    let far = site.worker("far", &leader, &site.pod("far", "worker")?);
    let _far = far.start_ready();
    assert_eq!(get(far.port, "/west")?.status, 503);
    // What the settings say isn't left to the leader.
    let elsewhere = site.worker("elsewhere", &leader, &site.token("near", "worker", "komainu")?);
    let elsewhere = elsewhere.with("instance.location.zone", "east-1");
    let _elsewhere = elsewhere.start_ready();
    assert_eq!(get(elsewhere.port, "/west")?.status, 503);

    // A worker knows it without a leader, too, once it was told.
    drop((running, started));
    let near = near.with("cluster.worker.bootWait", "100ms");
    let _near = near.start_ready();
    assert_eq!(get(near.port, "/west")?.status, 200);
    Ok(())
}

/// Leaders with one store: the holder of the Lease mirrors the cluster into it, and a gateway that knows no cluster serves that.
#[test]
fn a_gateway_outside_serves_what_a_leader_mirrors_into_their_store() -> anyhow::Result<()> {
    let _others = beside_others();
    let (site, redis) = (Site::start()?, Server::redis());
    let with_store = |gateway: Gateway| gateway.with("store.url", redis.url());
    let outside = with_store(Gateway::bare_standalone(&site.folder.path().join("outside")));
    let _outside = outside.start_ready();
    let leaders = ["leader-1", "leader-2"].map(|name| {
        with_store(site.leader(name)).with("cluster.leader.replicas", 2).with("kubernetes.lease", "komainu")
    });
    let mut programs = leaders.each_ref().map(|leader| Some(leader.start_ready()));
    let serves =
        |name: &str| get(outside.port, &format!("/{name}")).ok().filter(|answer| answer.status == 200);
    site.apply_route("hello")?;
    until("a route of the cluster is served outside of it", || serves("hello"));

    let path = "jsonpath={.spec.holderIdentity}";
    let holder = site.kubectl().must(&["get", "lease", "komainu", "-o", path])?;
    let holder = usize::from(holder == "leader-2");
    let mut ended = programs[holder].take().expect("it runs");
    ended.signal("TERM");
    until("it has ended", || ended.exited());
    site.apply_route("later")?;
    until("the next holder goes on with the mirror", || serves("later"));
    site.kubectl().must(&["delete", "route.komainu.dev", "hello"])?;
    until("also with deletions", || get(outside.port, "/hello").ok().filter(|answer| answer.status == 404));

    // What the outside wrote is served by the cluster's leaders, and the other way round.
    let headers = [("otoroshi-client-id", CREDENTIALS.0), ("otoroshi-client-secret", CREDENTIALS.1)];
    let body = "{\"id\":\"users\",\"name\":\"users\",\"backend\":{\"targets\":[]}}";
    let written = request(outside.admin, "POST", "/api/backends", &headers, body)?;
    assert_eq!(written.status, 201, "{}", written.body);
    let left = &leaders[1 - holder];
    until("a leader in the cluster has it", || {
        request(left.admin, "GET", "/api/backends/users", &headers, "")
            .ok()
            .filter(|answer| answer.status == 200)
    });
    Ok(())
}
