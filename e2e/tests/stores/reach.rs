//! How a store is reached: each setting by what another value of it does.

use std::path::Path;
use std::time::{Duration, Instant};

use e2e::process::{Gateway, Program, get, until};
use e2e::servers::{Certificates, Server};
use operator_core::Owner;
use operator_store::suite::{draft, key};
use operator_store::{CassandraStore, Expected, SharedSettings, StateStore, StoreTls, open_shared};

use crate::kinds::{CASSANDRA, POSTGRES, REDIS, fresh};
use crate::several::{route, send};

fn leader(folder: &Path, set: &[(&str, &str)]) -> Gateway {
    set.iter().fold(Gateway::bare_leader(folder), |leader, (key, value)| leader.with(key, value))
}

/// A process that isn't ready, as it can't read its store, and says why in its log.
fn isnt_ready(leader: &Gateway, reason: &str) -> Program {
    let process = leader.start();
    until(reason, || process.log().contains(reason).then_some(()));
    assert_eq!(get(leader.admin, "/ready").unwrap().status, 503);
    process
}

#[test]
fn user_and_password_of_the_settings_count_for_more_than_the_urls() {
    let folder = tempfile::tempdir().unwrap();
    let (scheme, address) = REDIS.url().split_once("://").unwrap();
    let (user, address) = address.split_once('@').unwrap();
    let password = user.trim_start_matches(':');
    let bare = format!("{scheme}://{address}");
    let _none = isnt_ready(&leader(&folder.path().join("none"), &[("store.url", &bare)]), "NOAUTH");
    let wrong = [("store.url", REDIS.url()), ("store.password", "wrong")];
    let _wrong = isnt_ready(&leader(&folder.path().join("wrong"), &wrong), "authentication failed");
    let user = [("store.url", REDIS.url()), ("store.username", "nobody"), ("store.password", password)];
    let _user = isnt_ready(&leader(&folder.path().join("user"), &user), "authentication failed");
    let right = [("store.url", &*bare), ("store.username", "default"), ("store.password", password)];
    let right = leader(&folder.path().join("right"), &right);
    let process = right.start_ready();
    assert!(!process.log().contains(password), "{}", process.log());

    let file = folder.path().join("password");
    std::fs::write(&file, format!("{password}\n")).unwrap();
    let file = [("store.url", &*bare), ("store.passwordFile", file.to_str().unwrap())];
    let _file = leader(&folder.path().join("file"), &file).start_ready();
}

#[test]
fn stores_of_other_prefixes_are_other_stores() {
    for server in [&*REDIS, &*POSTGRES, &*CASSANDRA] {
        let folder = tempfile::tempdir().unwrap();
        let prefixes = [fresh(server).prefix, fresh(server).prefix];
        let [one, other] = prefixes.each_ref().map(|prefix| {
            leader(&folder.path().join(prefix), &[("store.url", server.url()), ("store.prefix", prefix)])
        });
        let _processes = [one.start_ready(), other.start_ready()];
        assert_eq!(send(&one, "POST", "/api/routes", &route("a", 1)).status, 201);
        assert_eq!(send(&other, "GET", "/api/routes/a", "").status, 404);
    }
}

fn with_tls(certificates: &Certificates) -> [Server; 3] {
    [Server::redis_with_tls, Server::postgres_with_tls, Server::cassandra_with_tls]
        .map(|start: fn(&Certificates) -> Server| start(certificates))
}

fn files(certificates: &Certificates) -> StoreTls {
    StoreTls {
        authorities: Some(certificates.authority.clone()),
        certificate: Some(certificates.client.clone()),
        key: Some(certificates.client_key.clone()),
    }
}

#[test]
fn a_server_with_tls_is_verified_and_shown_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(folder.path());
    for server in with_tls(&certificates) {
        let tls = files(&certificates);
        let settings = |tls: StoreTls| SharedSettings { tls, ..fresh(&server) };
        let open = |tls: StoreTls| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(open_shared(&settings(tls))).map(drop)
        };
        until("it opens", || open(tls.clone()).inspect_err(|error| eprintln!("{error}")).ok());
        let unknown = StoreTls { certificate: None, key: None, ..tls.clone() };
        assert!(open(unknown).is_err(), "{}: without a certificate", server.url());
        let unverified = StoreTls { authorities: None, ..tls.clone() };
        assert!(open(unverified).is_err(), "{}: a server of an unknown authority", server.url());
        let half = StoreTls { key: None, ..tls };
        assert!(open(half).unwrap_err().to_string().contains("store.tls.key"));
    }
}

/// What a store has, or what is wrong.
async fn revision(store: &dyn StateStore) -> Result<u64, String> {
    let listed = store.list(Owner::Store).await.map(|listing| listing.revision);
    listed.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_and_certificates_are_read_for_each_connection() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(folder.path());
    let servers = with_tls(&certificates);
    let mut stores = Vec::new();
    for server in &servers {
        let file = folder.path().join(format!("password-{}", server.port()));
        let settings = fresh(server);
        let (scheme, rest) = settings.url.split_once("://").unwrap();
        let (user, address) = rest.split_once('@').unwrap();
        let (name, password) = user.split_once(':').unwrap();
        std::fs::write(&file, password).unwrap();
        let settings = SharedSettings {
            url: format!("{scheme}://{address}"),
            username: Some(name.to_owned()).filter(|name| !name.is_empty()),
            password_file: Some(file.clone()),
            tls: files(&certificates),
            ..settings
        };
        let store = becomes("it opens", async || open_shared(&settings).await.ok()).await;
        store.put(&key("a"), Expected::Absent, draft("1")).await.unwrap();
        stores.push((server, store, file, password.to_owned()));
    }

    // Of another authority: with what was read before nobody knows the other one.
    Certificates::make(folder.path());
    for (server, store, file, password) in stores {
        std::fs::write(&file, "not the password").unwrap();
        let is_refused = async || match revision(&*store).await {
            // A connection that was made before the file was looked at.
            Ok(_) => {
                server.kill();
                server.start();
                None
            }
            Err(reason) => says_no(&reason).then_some(()),
        };
        becomes("the password of the file is refused", is_refused).await;
        std::fs::write(&file, password).unwrap();
        let found = becomes("it is used once the password is right", async || revision(&*store).await.ok());
        assert_eq!(found.await, 1, "{}", server.url());
    }
}

/// Each server has its own words for it.
fn says_no(reason: &str) -> bool {
    ["WRONGPASS", "authentication failed", "incorrect"].iter().any(|words| reason.contains(words))
}

async fn becomes<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(begin.elapsed() < Duration::from_secs(90), "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn the_settings_of_tls_arrive() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(folder.path());
    let server = Server::redis_with_tls(&certificates);
    let path = |path: &Path| path.display().to_string();
    let (authority, certificate, key) =
        (path(&certificates.authority), path(&certificates.client), path(&certificates.client_key));
    let set = [
        ("store.url", server.url()),
        ("store.tls.authorities", &*authority),
        ("store.tls.certificate", &*certificate),
        ("store.tls.key", &*key),
    ];
    let _right = leader(&folder.path().join("right"), &set).start_ready();
    let _unverified = isnt_ready(&leader(&folder.path().join("a"), &set[..1]), "UnknownIssuer");
    let _unknown = isnt_ready(&leader(&folder.path().join("b"), &set[..2]), "tate store isn't available");
}

/// Cassandra tells nobody of changes.
#[tokio::test(flavor = "multi_thread")]
async fn cassandra_is_asked_as_often_as_the_settings_say() {
    let often = fresh(&CASSANDRA);
    let seldom = SharedSettings { poll_every: Duration::from_secs(8), ..often.clone() };
    let often = SharedSettings { poll_every: Duration::from_millis(20), ..often };
    let writer = CassandraStore::open(&often).await.unwrap();
    let [often, seldom] =
        [often, seldom].map(|settings| async move { CassandraStore::open(&settings).await.unwrap() });
    let (often, seldom) = (often.await, seldom.await);
    let (mut soon, mut late) = (often.subscribe(), seldom.subscribe());
    let begin = Instant::now();
    let revision = writer.put(&key("a"), Expected::Absent, draft("1")).await.unwrap().revision;
    soon.wait_for(|hint| *hint >= revision).await.unwrap();
    let first = begin.elapsed();
    late.wait_for(|hint| *hint >= revision).await.unwrap();
    let second = begin.elapsed();
    assert!(first + Duration::from_millis(500) < second, "{first:?} {second:?}");
}
