//! Listeners that can't be opened.

use std::fmt;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dataplane_core::BackendStates;
use dataplane_proxy::worker::{Applier, ProxyService};
use dataplane_proxy::{Proxy, ProxySettings};
use dataplane_snapshot::{Key, Kind, Object, Snapshot, wire};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::leader::{Leader, PATIENCE};
use super::local::Local;
use super::samples::{as_of, snapshot};
use super::worker::{IN_USE, Names, Worker, settings};

fn http() -> (Key, String) {
    (Key::new(Kind::Listener, "settings", "http"), IN_USE.to_owned())
}

fn without_http() -> Names {
    let names = Names::default();
    names.take(&["http"]);
    names
}

#[tokio::test]
async fn readiness_in_the_leaders_process_waits_until_all_are_open() {
    let mut local = Local::start_with(without_http());
    let report = local.publish(&snapshot(1, "one")).await;
    assert_eq!(report.rejected, [http()]);
    let health = local.health.borrow().clone();
    assert_eq!(health.ready, Err(format!("listener http can't be opened: {IN_USE}")));
    assert_eq!(health.rejected, 1);
    assert_eq!(local.applier.service().serving(), ["one"], "the others serve");

    local.applier.service().take(&[]);
    let report = local.reports.recv().await.unwrap();
    assert_eq!((report.root, report.rejected), (snapshot(1, "one").root(), vec![]));
    assert_eq!((local.health.borrow().ready.clone(), local.health.borrow().rejected), (Ok(()), 0));

    local.applier.service().take(&["http"]);
    assert_eq!(local.publish(&snapshot(2, "two")).await.rejected, [http()]);
    let health = local.health.borrow().clone();
    assert_eq!((health.ready, health.rejected), (Ok(()), 1), "readiness isn't taken back");
}

#[tokio::test]
async fn readiness_of_a_worker_waits_until_all_are_open_and_the_leader_is_told() {
    let leader = Leader::start().await;
    leader.publish(&snapshot(1, "one"));
    let mut settings = settings(vec![leader.url()]);
    settings.hold = Duration::from_secs(25);
    let mut worker = Worker::start_with(settings, without_http());
    let reason = format!("listener http can't be opened: {IN_USE}");
    let health = worker.until(|health| health.ready.as_ref().is_err_and(|why| *why == reason)).await;
    assert_eq!(health.rejected, 1);
    let member = leader.until_member(|member| member.applied.is_some()).await;
    assert_eq!(member.applied.unwrap().rejected.into_iter().collect::<Vec<_>>(), [http()]);

    worker.applier.service().take(&[]);
    let health = worker.until(|health| health.ready.is_ok()).await;
    assert_eq!(health.rejected, 0);
    let all_open = |applied: &operator_core::programmed::Applied| applied.rejected.is_empty();
    leader.until_member(|member| member.applied.as_ref().is_some_and(all_open)).await;
    assert_eq!(leader.cluster.stats().not_modified, 0, "it is told at once, not with the next answer");

    worker.applier.service().take(&["http"]);
    leader.publish(&snapshot(2, "two"));
    let health = worker.until(|health| health.rejected == 1).await;
    assert_eq!(health.ready, Ok(()), "readiness isn't taken back");
}

/// One listener at `address`.
fn listening(address: SocketAddr) -> Snapshot {
    let (ip, port) = (address.ip().to_string(), u32::from(address.port()));
    let listener = wire::Listener { address: ip, port, protocol: 1, ..Default::default() };
    Snapshot::new([Object::encode(http().0, &wire::Payload::Listener(listener).into())], as_of(1))
}

#[tokio::test]
async fn a_port_that_becomes_free_is_listened_on() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let settings = ProxySettings { threads: 1, ..ProxySettings::default() };
    let proxy = Arc::new(Proxy::start(settings).unwrap());
    let mut local =
        Local::start_with(ProxyService { proxy: proxy.clone(), states: BackendStates::default() });
    let report = local.publish(&listening(address)).await;
    assert_eq!(report.rejected.len(), 1);
    assert!(proxy.addresses().is_empty());
    drop(taken);
    let ready = local.health.wait_for(|health| health.ready.is_ok());
    drop(tokio::time::timeout(PATIENCE, ready).await.expect("it is tried again").unwrap());
    assert_eq!(proxy.addresses()["http"], address);
    TcpStream::connect(address).unwrap();
}

/// The errors that are logged.
#[derive(Clone, Default)]
struct Errors(Arc<Mutex<Vec<String>>>);

impl Subscriber for Errors {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Fields::default();
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}

#[test]
fn each_failure_is_logged_once() {
    let errors = Errors::default();
    let applier = Applier::new(without_http());
    tracing::subscriber::with_default(errors.clone(), || {
        applier.apply(snapshot(1, "one")).unwrap();
        applier.retry_listeners();
        applier.apply(snapshot(2, "two")).unwrap();
        assert_eq!(errors.0.lock().unwrap().len(), 1);
        applier.service().take(&[]);
        applier.retry_listeners();
        assert_eq!(errors.0.lock().unwrap().len(), 1);
        applier.service().take(&["http"]);
        applier.apply(snapshot(3, "three")).unwrap();
    });
    let errors = errors.0.lock().unwrap();
    assert_eq!(errors.len(), 2, "again after it was open: {errors:?}");
    assert!(errors.iter().all(|text| text.contains("\"http\"") && text.contains(IN_USE)), "{errors:?}");
}
