//! The shared suite on each kind of server. All tests share one server of each kind, with a prefix of their own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use e2e::servers::Server;
use operator_store::{PostgresStore, RedisStore, SharedSettings, StateStore};

pub(crate) static REDIS: LazyLock<Server> = LazyLock::new(Server::redis);
pub(crate) static POSTGRES: LazyLock<Server> = LazyLock::new(Server::postgres);

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

mod on_redis {
    operator_store::state_store_suite!(super::redis);
}

mod on_postgres {
    operator_store::state_store_suite!(super::postgres);
}
