//! Limits that workers share, and what they count.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use e2e::process::{CREDENTIALS, Gateway, Program, Response, Session, figure, get, request, until, within};

use crate::fixture::Fixture;

/// How long requests are offered; the acceptance run asks for longer.
fn seconds() -> u64 {
    std::env::var("LIMIT_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

/// A test that counts by days begins early enough to end on the same one.
fn begin_before_midnight() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let left = 86_400 - now % 86_400;
    if left < 240 {
        std::thread::sleep(Duration::from_secs(left + 1));
    }
}

fn limited(name: &str, limits: &str, target: u16) -> String {
    format!(
        "apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {{name: {name}}}
spec:
  matches: [{{paths: [{{value: /{name}}}]}}]
  filters: {{rateLimits: {limits}}}
  backends: [{{inline: {{targets: [{{hostname: 127.0.0.1, port: {target}}}]}}}}]
"
    )
}

/// A leader with three workers.
struct Site {
    fixture: Fixture,
    leader: Gateway,
    workers: [Gateway; 3],
}

impl Site {
    fn new(limits: &str) -> Self {
        begin_before_midnight();
        let fixture = Fixture::new();
        fixture.write("limited.yaml", &limited("limited", limits, fixture.one));
        let leader = Gateway::leader(&fixture.path().join("leader"), &fixture.resources());
        let workers = ["a", "b", "c"].map(|name| Gateway::worker(fixture.path(), name, &leader));
        Self { fixture, leader, workers }
    }

    fn start_workers(&self) -> [Program; 3] {
        let started = self.workers.each_ref().map(Gateway::start_ready);
        for worker in &self.workers {
            until("it serves", || {
                get(worker.port, "/limited").ok().filter(|answer| [200, 429].contains(&answer.status))
            });
        }
        started
    }
}

/// Requests that come to one worker at a steady rate, whatever becomes of them.
struct Offer {
    stop: Arc<AtomicBool>,
    passed: Arc<AtomicU64>,
    offering: JoinHandle<Vec<String>>,
}

impl Offer {
    fn start(port: u16, per_second: u32) -> Self {
        let (stop, passed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ended, counted) = (stop.clone(), passed.clone());
        let offering = spawn(move || {
            let (begun, mut wrong, mut connection) = (Instant::now(), Vec::new(), None);
            for number in 0.. {
                let due = begun + Duration::from_secs(1) * number / per_second;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if ended.load(Relaxed) {
                    break;
                }
                let mut open = connection.take().unwrap_or_else(|| Session::open(port).unwrap());
                match open.get("/limited") {
                    Ok(Response { status: 200, .. }) => _ = counted.fetch_add(1, Relaxed),
                    Ok(Response { status: 429, .. }) => {}
                    other => {
                        wrong.push(format!("{other:?}"));
                        continue;
                    }
                }
                connection = Some(open);
            }
            wrong
        });
        Self { stop, passed, offering }
    }

    fn passed(&self) -> u64 {
        self.passed.load(Relaxed)
    }

    /// How many passed; nothing else than passing or being refused may have happened.
    fn end(self) -> u64 {
        self.stop.store(true, Relaxed);
        let wrong = self.offering.join().unwrap();
        assert_eq!(wrong, [""; 0]);
        self.passed.load(Relaxed)
    }
}

fn api(leader: &Gateway, path: &str) -> Option<serde_json::Value> {
    let headers = [("otoroshi-client-id", CREDENTIALS.0), ("otoroshi-client-secret", CREDENTIALS.1)];
    let answer = request(leader.admin, "GET", path, &headers, "").ok()?;
    (answer.status == 200).then(|| answer.json())
}

/// What the API tells of the limited route today.
fn usage(leader: &Gateway) -> Option<serde_json::Value> {
    Some(api(leader, "/api/usage?route=default/limited")?["routes"]["route/default/limited"].clone())
}

fn requests(leader: &Gateway) -> Option<u64> {
    usage(leader)?["requests"].as_u64()
}

/// Waits until a worker has heard of so many that share the limits.
fn knows_of(worker: &Gateway, workers: f64) {
    until("it knows of the others", || {
        worker.metric("komainu_limit_workers").filter(|count| *count == workers)
    });
}

#[test]
fn three_workers_keep_one_rate() {
    let site = Site::new("[{requests: 100, per: Second}]");
    let _leader = site.leader.start_ready();
    let _workers = site.start_workers();
    site.workers.iter().for_each(|worker| knows_of(worker, 3.0));
    let offers = site.workers.each_ref().map(|worker| Offer::start(worker.port, 100));
    std::thread::sleep(Duration::from_secs(seconds()));
    let passed: u64 = offers.into_iter().map(Offer::end).sum();
    let whole = 100 * seconds();
    figure("limits_rate_passed", passed);
    figure("limits_rate_whole", whole);
    // A burst of a second is in it, and the time until the shares have settled, which count for more in a short time.
    let most = whole + whole / 20 + if seconds() < 60 { 300 } else { 0 };
    assert!((whole - whole / 20..=most).contains(&passed), "{passed} of {whole}");
    let passed_by_metrics =
        |worker: &Gateway| worker.metric("komainu_limit_refused_requests_total{route=\"default/limited\"}");
    assert!(site.workers.iter().all(|worker| passed_by_metrics(worker).unwrap() > 0.0));
}

#[test]
fn a_daily_quota_holds_and_all_is_counted_though_the_leader_is_killed_twice() {
    let quota = seconds() * 500 / 3;
    let site = Site::new(&format!("[{{requests: {quota}, per: Day}}]"));
    let mut leader = site.leader.start_ready();
    let _workers = site.start_workers();
    let offers = site.workers.each_ref().map(|worker| Offer::start(worker.port, 100));
    let passed = || offers.iter().map(Offer::passed).sum::<u64>();
    for part in 1..=2 {
        within(Duration::from_secs(60), "some have passed", || (passed() > quota * part / 4).then_some(()));
        leader.kill();
        std::thread::sleep(Duration::from_secs(1));
        leader = site.leader.start_ready();
    }
    within(Duration::from_secs(90), "the quota is used up", || (passed() >= quota).then_some(()));
    std::thread::sleep(Duration::from_secs(3));
    let total: u64 = offers.into_iter().map(Offer::end).sum::<u64>() + 3;
    let (counted, _) = within(Duration::from_secs(15), "all is counted", || {
        requests(&site.leader).filter(|counted| *counted == total)
    });
    figure("limits_quota", quota);
    figure("limits_quota_passed", total);
    figure("limits_quota_counted", counted);
    // What all of them let pass in one push interval.
    figure("limits_quota_bound", quota + 300 * 2);
    assert!((quota..=quota + 300 * 2).contains(&total), "{total} of {quota}");
    drop(leader);
}

#[test]
fn counts_outlive_workers_that_stop_and_consumers_are_told_apart() {
    let limits = "[{requests: 5, per: Day, key: {type: Header, name: x-api-key}}]";
    let site = Site::new(limits);
    let _leader = site.leader.start_ready();
    let [first, ..] = &site.workers;
    let mut running = first.start_ready();
    let ask = |key: &str| request(first.port, "GET", "/limited", &[("x-api-key", key)], "").unwrap();
    until("it serves", || Some(ask("one")).filter(|answer| answer.status == 200));
    for _ in 0..2 {
        within(Duration::from_secs(5), "it passes", || {
            Some(ask("one")).filter(|answer| answer.status == 200)
        });
    }
    running.signal("TERM");
    until("it has ended", || running.exited());
    let told = |consumer: &str| usage(&site.leader)?["consumers"][consumer]["requests"].as_u64();
    let consumer = "header:x-api-key=sha256:7692c3ad3540bb80";
    until("what it counted last is there", || told(consumer).filter(|requests| *requests == 3));

    running = first.start_ready();
    // The one that has just ended counts for a while.
    knows_of(first, 2.0);
    within(Duration::from_secs(10), "the other process's count is known", || {
        let answer = ask("one");
        (answer.status == 429 && answer.header("ratelimit-remaining") == Some("0")).then_some(())
    });
    until("no more than five", || told(consumer).filter(|requests| *requests == 5));
    assert_eq!(ask("two").status, 200);
    drop(running);
}

#[test]
fn a_push_waits_as_the_settings_say() {
    let site = Site::new("[{requests: 1000, per: Minute}]");
    let _leader = site.leader.start_ready();
    let fast = Gateway::worker(site.fixture.path(), "fast", &site.leader)
        .with("cluster.worker.quotas.pushEvery", "200ms");
    let slow = Gateway::worker(site.fixture.path(), "slow", &site.leader)
        .with("cluster.worker.quotas.pushEvery", "1h");
    let _running = [fast.start_ready(), slow.start_ready()];
    until("it serves", || get(slow.port, "/limited").ok().filter(|answer| answer.status == 200));
    until("it serves", || get(fast.port, "/limited").ok().filter(|answer| answer.status == 200));
    within(Duration::from_secs(5), "it is counted", || {
        requests(&site.leader).filter(|requests| *requests >= 1)
    });
    let before = requests(&site.leader).unwrap();
    (0..5).for_each(|_| assert_eq!(get(slow.port, "/limited").unwrap().status, 200));
    assert_eq!(get(fast.port, "/limited").unwrap().status, 200);
    let (counted, _) =
        until("the fast one has pushed", || requests(&site.leader).filter(|requests| *requests > before));
    assert_eq!(counted, before + 1, "the slow one hasn't");
}

#[test]
fn standalone_gateways_with_one_shared_store_share_limits() {
    begin_before_midnight();
    let store = e2e::servers::Server::redis();
    let fixture = Fixture::new();
    fixture.write("limited.yaml", &limited("limited", "[{requests: 20, per: Day}]", fixture.one));
    let gateway = |name: &str| {
        Gateway::standalone(&fixture.path().join(name), &fixture.resources()).with("store.url", store.url())
    };
    let (one, two) = (gateway("one"), gateway("two"));
    let _running = [one.start_ready(), two.start_ready()];
    [&one, &two].into_iter().for_each(|gateway| knows_of(gateway, 2.0));
    let ask = |gateway: &Gateway| get(gateway.port, "/limited").unwrap();
    let mut passed = 0;
    within(Duration::from_secs(20), "both know that nothing is left", || {
        let answers = [ask(&one), ask(&two)];
        passed += answers.iter().filter(|answer| answer.status == 200).count();
        let is_over =
            |answer: &Response| answer.status == 429 && answer.header("ratelimit-remaining") == Some("0");
        answers.iter().all(is_over).then_some(())
    });
    // All within one push interval: neither hears of the other before it has used what it was granted.
    assert!((20..=40).contains(&passed), "{passed}");
    until("it is counted", || requests(&two).filter(|counted| *counted == passed as u64));
}
