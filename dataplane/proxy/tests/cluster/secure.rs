//! Between leader and worker by TLS.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use dataplane_proxy::worker::{LeaderContact, LeaderTls, LeaderUrl, WorkerHealth, WorkerSettings};
use dataplane_snapshot::{Key, Kind, Object, Snapshot, wire};
use tokio::sync::watch;

use super::authority::Authority;
use super::leader::Leader;
use super::samples::{route, snapshot};
use super::worker::{Worker, settings};

fn over_tls(url: LeaderUrl, tls: LeaderTls) -> (WorkerSettings, watch::Sender<LeaderTls>) {
    let (sender, receiver) = watch::channel(tls);
    let mut settings = settings(vec![url]);
    settings.tls = Some(receiver);
    (settings, sender)
}

fn fails_with(health: &WorkerHealth, sentence: &str) -> bool {
    matches!(&health.leader, LeaderContact::Failing { reason, .. } if reason.contains(sentence))
}

/// An address of this machine that others can reach, if it has one.
fn address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent: the system only chooses the address that it would send from.
    let is_reachable = socket.connect("192.0.2.1:9").is_ok();
    if is_reachable { socket.local_addr().unwrap().ip() } else { IpAddr::from([127, 0, 0, 1]) }
}

fn with_secret(base: &Snapshot) -> Snapshot {
    let secret = wire::Secret { kind: Some(wire::SecretKind::PrivateKey("key".into())) };
    let key = Key::new(Kind::Secret, "default", "site");
    let secret = Object::encode(key, &wire::Payload::Secret(secret).into());
    base.edit([secret], &[], base.as_of().clone())
}

fn has_secrets(worker: &Worker) -> bool {
    worker.applier.served().snapshot().objects_of(Kind::Secret).next().is_some()
}

#[tokio::test]
async fn a_worker_on_another_machine_gets_secrets_by_tls_alone() {
    let (authority, address) = (Authority::new("leaders"), address());
    let (port, at) = (authority.port(&address.to_string(), None), SocketAddr::new(address, 0));
    let (secure, open) = (Leader::start_tls(at, port, false).await.0, Leader::start_at(at).await);
    let state = with_secret(&snapshot(1, "one"));
    for leader in [&secure, &open] {
        leader.publish(&state);
    }
    let (settings_by_tls, _tls) = over_tls(secure.url(), authority.worker(None));
    let mut by_tls = Worker::start(settings_by_tls);
    by_tls.until_serving(&["one"]).await;
    assert!(has_secrets(&by_tls));
    let member = secure.until_member(|member| member.applied.is_some()).await;
    assert_eq!(member.applied.unwrap().root, state.root());

    let mut by_text = Worker::start(settings(vec![open.url()]));
    by_text.until_serving(&["one"]).await;
    assert!(address.is_loopback() || !has_secrets(&by_text));
}

#[tokio::test]
async fn a_leader_with_a_wrong_certificate_is_refused_and_what_was_served_is_served_on() {
    let (authority, other) = (Authority::new("leaders"), Authority::new("others"));
    let at = "127.0.0.1:0".parse().unwrap();
    let (leader, port) = Leader::start_tls(at, authority.port("127.0.0.1", None), false).await;
    leader.publish(&snapshot(1, "one"));
    let (settings, _tls) = over_tls(leader.url(), authority.worker(None));
    let mut worker = Worker::start(settings);
    worker.until_serving(&["one"]).await;

    for (wrong, sentence) in [
        (other.port("127.0.0.1", None), "its certificate isn't signed by a trusted authority"),
        (authority.port("leader.test", None), "its certificate is for other names: leader.test"),
    ] {
        port.send_replace(wrong);
        let health = worker.until(|health| fails_with(health, sentence)).await;
        assert!(health.poll_failure_reasons["tls"] > 0, "{:?}", health.poll_failure_reasons);
        assert!(health.ready.is_ok());
        assert_eq!(worker.serving(), ["one"]);
    }

    leader.publish(&snapshot(2, "two"));
    port.send_replace(authority.port("127.0.0.1", None));
    worker.until_serving(&["two"]).await;
}

#[tokio::test]
async fn what_isnt_tls_is_called_so_on_either_side() {
    let authority = Authority::new("leaders");
    let leader = Leader::start().await;
    let url = format!("https://{}", leader.address).parse().unwrap();
    let (settings_by_tls, _tls) = over_tls(url, authority.worker(None));
    let mut worker = Worker::start(settings_by_tls);
    worker.until(|health| fails_with(health, "what it answers isn't TLS")).await;

    let at = "127.0.0.1:0".parse().unwrap();
    let leader = Leader::start_tls(at, authority.port("127.0.0.1", None), false).await.0;
    let url = format!("http://{}", leader.address).parse().unwrap();
    let mut worker = Worker::start(settings(vec![url]));
    worker.until(|health| fails_with(health, "answered 400 Bad Request")).await;
}

#[tokio::test]
async fn with_a_certificate_a_worker_needs_no_client_id() {
    let (leaders, workers) = (Authority::new("leaders"), Authority::new("workers"));
    let at = "127.0.0.1:0".parse().unwrap();
    let port = leaders.port("127.0.0.1", Some(&workers));
    let leader = Leader::start_tls(at, port, true).await.0;
    leader.publish(&snapshot(1, "one"));
    let (mut settings, tls) = over_tls(leader.url(), leaders.worker(None));
    (settings.client_id, settings.client_secret) = (String::new(), String::new());
    let mut worker = Worker::start(settings);
    worker.until(|health| fails_with(health, "only answers workers that show a client certificate")).await;
    assert!(leader.cluster.stats().unauthorized > 0);

    let stranger = Authority::new("strangers").issue("worker");
    tls.send_replace(leaders.worker(Some(&stranger)));
    let refused = "it refuses the client certificate";
    let health = worker.until(|health| fails_with(health, refused)).await;
    assert!(health.poll_failure_reasons["forbidden"] > 0 && health.poll_failure_reasons["tls"] > 0);
    assert!(leader.cluster.members().is_empty());

    tls.send_replace(leaders.worker(Some(&workers.issue("worker"))));
    worker.until_serving(&["one"]).await;
    // By resumed handshakes, too.
    for (revision, text) in [(2, "two"), (3, "three")] {
        leader.publish(&Snapshot::new([route("r", text)], super::samples::as_of(revision)));
        worker.until_serving(&[text]).await;
    }
    worker.stop().await;
}
