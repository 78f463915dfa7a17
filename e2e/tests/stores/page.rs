//! `docs/stores.md` does what it says.

use e2e::process::Page;
use e2e::servers::Server;

use crate::kinds::{CASSANDRA, POSTGRES, REDIS, fresh};

const RUN: &str = "Leaders and workers";

fn runs(server: &Server, store: &str, address: &str) {
    let place = format!("{}\nexport KOMAINU_STORE_PREFIX={}", server.url(), fresh(server).prefix);
    Page::read("stores.md").with(address, &place).run(&[store, RUN]);
}

#[test]
fn two_leaders_and_three_workers_on_redis() {
    runs(&REDIS, "On Redis", "redis://127.0.0.1:6379");
}

#[test]
fn two_leaders_and_three_workers_on_postgres() {
    runs(&POSTGRES, "On PostgreSQL", "postgresql://komainu:secret@127.0.0.1:5432/komainu");
}

#[test]
fn two_leaders_and_three_workers_on_cassandra() {
    runs(&CASSANDRA, "On Cassandra", "cassandra://127.0.0.1:9042/komainu");
}
