//! `komainu store` and `komainu leader new-epoch`, from one kind of store to the next.

use std::path::Path;
use std::process::{Command, Output};

use e2e::process::{Gateway, get, until};

use crate::kinds::{CASSANDRA, POSTGRES, REDIS, fresh};
use crate::several::{password, route, send};

fn komainu(words: &[&str], set: &[String]) -> Output {
    let program = std::env::var("KOMAINU_BIN").unwrap_or_else(|_| "../target/komainu".to_owned());
    let set = set.iter().flat_map(|setting| ["--set", setting]);
    Command::new(program).args(words).args(set).output().unwrap()
}

pub(crate) fn succeeds(words: &[&str], set: &[String]) -> String {
    let output = komainu(words, set);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn embedded(folder: &Path) -> Vec<String> {
    vec![format!("dataDirectory={}", folder.display())]
}

#[test]
fn everything_moves_from_store_to_store() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::bare_standalone(folder.path());
    let mut process = gateway.start_ready();
    for n in 0..30 {
        assert_eq!(send(&gateway, "POST", "/api/routes", &route(&format!("r{n}"), 1)).status, 201);
    }
    let file = folder.path().join("all.jsonl").display().to_string();
    // Its target isn't there, which is counted as well.
    assert_eq!(get(gateway.port, "/r7").unwrap().status, 502);
    until("it is counted", || {
        let usage = send(&gateway, "GET", "/api/usage?route=default/r7", "");
        (usage.json()["routes"]["route/default/r7"]["statuses"]["5xx"] == 1).then_some(())
    });
    let in_use = komainu(&["store", "export", &file], &embedded(&gateway.data_directory()));
    assert!(!in_use.status.success());
    assert!(String::from_utf8_lossy(&in_use.stderr).contains("in use by another process"), "{in_use:?}");
    process.kill();
    succeeds(&["store", "export", &file], &embedded(&gateway.data_directory()));

    let mut settings = Vec::new();
    for server in [&*REDIS, &*POSTGRES, &*CASSANDRA] {
        settings.push(vec![
            format!("store.url={}", server.url()),
            format!("store.prefix={}", fresh(server).prefix),
        ]);
    }
    settings.push(embedded(&folder.path().join("back")));
    for store in &settings {
        let said = succeeds(&["store", "import", &file], store);
        assert!(
            // Of the day and of the month.
            said.contains("30 objects and 2 counts of workers imported")
                && said.contains("the store has what the file has"),
            "{said}"
        );
        succeeds(&["store", "check", &file], store);
        let again = folder.path().join("again.jsonl").display().to_string();
        succeeds(&["store", "export", &again], store);
        assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(&again).unwrap(), "the same lines");
    }

    // What differs is named.
    let redis = &settings[0];
    let standalone =
        redis.iter().fold(Gateway::bare_standalone(&folder.path().join("other")), |gateway, setting| {
            let (key, value) = setting.split_once('=').unwrap();
            gateway.with(key, value)
        });
    let _process = standalone.start_ready();
    assert_eq!(send(&standalone, "DELETE", "/api/routes/r3", "").status, 200);
    assert_eq!(send(&standalone, "POST", "/api/routes", &route("more", 1)).status, 201);
    let differs = komainu(&["store", "check", &file], redis);
    let said = String::from_utf8_lossy(&differs.stdout).into_owned();
    assert!(
        !differs.status.success()
            && said.contains("route/default/r3")
            && said.contains("2 objects differ, 0 counts are behind"),
        "{said}"
    );
    let refused = komainu(&["store", "import", &file], redis);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--replace"), "{refused:?}");
    succeeds(&["store", "import", "--replace", &file], redis);
    until("a running process has what was imported", || {
        (send(&standalone, "GET", "/api/routes/r3", "").status == 200
            && send(&standalone, "GET", "/api/routes/more", "").status == 404)
            .then_some(())
    });
}

#[test]
fn processes_go_on_with_a_new_epoch_of_their_store() {
    for server in [&*REDIS, &*POSTGRES, &*CASSANDRA] {
        let folder = tempfile::tempdir().unwrap();
        let prefix = fresh(server).prefix;
        let gateway = Gateway::bare_standalone(folder.path())
            .with("store.url", server.url())
            .with("store.prefix", &prefix);
        let process = gateway.start_ready();
        assert_eq!(send(&gateway, "POST", "/api/routes", &route("before", 1)).status, 201);
        let set = [format!("store.url={}", server.url()), format!("store.prefix={prefix}")];
        let said = succeeds(&["leader", "new-epoch"], &set);
        assert!(said.contains("follows") && !said.contains(&format!(":{}@", password(server))), "{said}");
        until("the process has noticed", || process.log().contains("has a new epoch").then_some(()));
        assert_eq!(send(&gateway, "POST", "/api/routes", &route("after", 1)).status, 201);
        assert_eq!(send(&gateway, "GET", "/api/routes/before", "").status, 200);
        assert_eq!(send(&gateway, "GET", "/api/routes/after", "").status, 200);
    }
}
