use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dataplane_snapshot::{AsOf, Key, Kind, Object, Scope, Snapshot, wire};
use operator_core::session::Reach;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::sleep;

use super::coding::Coding;
use super::{Cluster, ClusterSettings};
use crate::Credentials;

async fn encoded(cluster: &Cluster) -> Bytes {
    let current = loop {
        match cluster.current(&Scope::default()) {
            Some(current) => break current,
            None => yield_now().await,
        }
    };
    current.encoded(Reach::Machine, Coding::Identity).await.unwrap().bytes
}

/// What was encoded anew is at another place than what is still held here.
fn is_same(a: &Bytes, b: &Bytes) -> bool {
    assert_eq!(a, b);
    a.as_ptr() == b.as_ptr()
}

#[tokio::test(start_paused = true)]
async fn what_was_encoded_is_kept_for_as_long_as_the_settings_say() {
    let listener = wire::Listener { address: "a".into(), ..Default::default() };
    let key = Key::new(Kind::Listener, "settings", "http");
    let object = Object::encode(key, &wire::Payload::Listener(listener).into());
    let snapshot = Arc::new(Snapshot::new([object], AsOf::default()));
    for keep in [Duration::from_secs(4), Duration::from_secs(3_600)] {
        let settings = ClusterSettings::new(Credentials::new("id", "secret"));
        let cluster = Cluster::new(ClusterSettings { keep_encoded: keep, ..settings });
        let (_snapshots, receiver) = watch::channel(Some(snapshot.clone()));
        let (_stop, stopped) = watch::channel(false);
        tokio::spawn(cluster.clone().run(receiver, stopped));
        let first = encoded(&cluster).await;
        sleep(keep.mul_f64(0.9)).await;
        let second = encoded(&cluster).await;
        assert!(is_same(&first, &second), "it is kept for {keep:?}");
        sleep(keep.mul_f64(2.1)).await;
        assert!(!is_same(&second, &encoded(&cluster).await), "nobody asked for longer than {keep:?}");
    }
}
