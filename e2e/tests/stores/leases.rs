//! Jobs that one of several leaders does.

use std::time::Duration;

use e2e::process::{Gateway, until};
use e2e::servers::Server;
use operator_store::{Candidate, open_shared};

use crate::kinds::{CASSANDRA, POSTGRES, REDIS, fresh};
use crate::several::{Site, route, send};

/// Long beside what a stall of a busy machine takes; Cassandra counts whole seconds.
const TIME: Duration = Duration::from_secs(6);

fn candidate(id: &str) -> Candidate {
    Candidate { id: id.to_owned(), url: format!("http://{id}") }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_does_a_job_and_each_has_a_higher_number() {
    for server in [&*REDIS, &*POSTGRES, &*CASSANDRA] {
        let settings = fresh(server);
        let (one, two) = (open_shared(&settings).await.unwrap(), open_shared(&settings).await.unwrap());
        let (a, b) = (candidate("a"), candidate("b"));
        let first = one.hold("job", &a, TIME).await.unwrap();
        assert!(first.is_me && first.url == "http://a");
        let other = two.hold("job", &b, TIME).await.unwrap();
        assert_eq!((other.is_me, &*other.url, other.term), (false, "http://a", first.term));
        assert_eq!(one.hold("job", &a, TIME).await.unwrap(), first, "who holds on keeps its number");
        assert!(two.hold("another", &b, TIME).await.unwrap().is_me, "jobs are apart");

        // Nobody holds on: another one takes over when the time is over, and not before.
        let begin = std::time::Instant::now();
        let next = loop {
            let next = two.hold("job", &b, TIME).await.unwrap();
            if next.is_me {
                break next;
            }
            assert!(begin.elapsed() < TIME * 5, "{}: it is never over", server.url());
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert!(begin.elapsed() > TIME / 3, "{:?}", begin.elapsed());
        assert!(next.term > first.term && next.url == "http://b");
        assert!(!one.hold("job", &a, TIME).await.unwrap().is_me);

        one.release("job", "a").await.unwrap();
        assert!(!one.hold("job", &a, TIME).await.unwrap().is_me, "only the holder gives it back");
        two.release("job", "b").await.unwrap();
        let again = one.hold("job", &a, TIME).await.unwrap();
        assert!(again.is_me && again.term > next.term);
    }
}

/// One of them knows all workers, so that its word about what is programmed is about all.
fn the_collector_knows_the_workers_of_all(server: &Server) {
    let site = Site::on(server);
    let leaders = site.leaders();
    let mut processes = leaders.each_ref().map(Gateway::start_ready);
    let workers =
        [site.worker("a", &[&leaders[0], &leaders[1]]), site.worker("b", &[&leaders[1], &leaders[0]])];
    let _workers = workers.each_ref().map(Gateway::start_ready);
    let knows_both = |leader: &Gateway| {
        let members = send(leader, "GET", "/api/cluster/members", "").body;
        (members.contains("\"a\"") && members.contains("\"b\"")).then_some(())
    };
    let (collector, _) = until("one leader knows both workers", || {
        leaders.iter().position(|leader| knows_both(leader).is_some())
    });
    assert_eq!(send(&leaders[1 - collector], "POST", "/api/routes", &route("told", site.one)).status, 201);
    until("it says that both have what the other one wrote", || {
        let status = send(&leaders[collector], "GET", "/api/status", "").body;
        let told = status.contains("told") && status.contains("\"Programmed\"");
        (told && !status.contains("Propagating")).then_some(())
    });
    processes[collector].kill();
    until("the other one collects", || knows_both(&leaders[1 - collector]));
}

#[test]
fn one_of_the_leaders_on_redis_knows_all_workers() {
    the_collector_knows_the_workers_of_all(&REDIS);
}

#[test]
fn one_of_the_leaders_on_postgres_knows_all_workers() {
    the_collector_knows_the_workers_of_all(&POSTGRES);
}

#[test]
fn one_of_the_leaders_on_cassandra_knows_all_workers() {
    the_collector_knows_the_workers_of_all(&CASSANDRA);
}
