//! The shared suite on each kind of server. All tests share one server of each kind, with a prefix of their own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use e2e::process::within;
use e2e::servers::Server;
use operator_store::{CassandraStore, PostgresStore, RedisStore, SharedSettings, StateStore, open_shared};

pub(crate) static REDIS: LazyLock<Server> = LazyLock::new(|| ready(Server::redis()));
pub(crate) static POSTGRES: LazyLock<Server> = LazyLock::new(|| ready(Server::postgres()));
pub(crate) static CASSANDRA: LazyLock<Server> = LazyLock::new(|| ready(Server::cassandra()));

/// Waits until it takes writes: it listens before it does.
pub(crate) fn ready(server: Server) -> Server {
    let settings = fresh(&server);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // A thread of its own, as the caller may be in a runtime.
    let open = move || runtime().block_on(open_shared(&settings)).ok().map(drop);
    let wait = move || within(Duration::from_secs(120), "a store can be made", open);
    std::thread::spawn(wait).join().unwrap();
    server
}

/// Settings of a store that nobody has made before.
pub(crate) fn fresh(server: &Server) -> SharedSettings {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    SharedSettings { prefix, ..SharedSettings::new(server.url()) }
}

async fn redis(deletions: u64) -> Arc<dyn StateStore> {
    let settings = SharedSettings { deletions, ..fresh(&REDIS) };
    Arc::new(RedisStore::open(&settings).await.unwrap())
}

async fn postgres(deletions: u64) -> Arc<dyn StateStore> {
    let settings = SharedSettings { deletions, ..fresh(&POSTGRES) };
    Arc::new(PostgresStore::open(&settings).await.unwrap())
}

async fn cassandra(deletions: u64) -> Arc<dyn StateStore> {
    let settings = SharedSettings { deletions, ..fresh(&CASSANDRA) };
    Arc::new(CassandraStore::open(&settings).await.unwrap())
}

mod on_redis {
    operator_store::state_store_suite!(super::redis);
}

mod on_postgres {
    operator_store::state_store_suite!(super::postgres);
}

mod on_cassandra {
    operator_store::state_store_suite!(super::cassandra);
}
