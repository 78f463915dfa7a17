//! Many objects: opening, reading, exporting and importing.

use std::fs::File;
use std::io::BufWriter;

use e2e::process::figure;
use operator_core::Owner;
use operator_store::suite::draft;
use operator_store::{Content, Draft};

use crate::kinds::{CASSANDRA, POSTGRES, REDIS, fresh};
use crate::transfers::{embedded, succeeds};

/// How many objects; the acceptance run asks for more.
fn objects() -> usize {
    std::env::var("OBJECTS").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000)
}

/// As large as a usual backend is.
fn content() -> Content {
    let targets: Vec<_> =
        (0..8).map(|n| format!("{{\"hostname\":\"10.0.0.{n}\",\"port\":8080,\"weight\":1}}")).collect();
    let spec = format!("{{\"root\":\"/\",\"targets\":[{}]}}", targets.join(","));
    let key = |n: usize| {
        dataplane_snapshot::Key::new(dataplane_snapshot::Kind::Backend, "default", format!("backend-{n}"))
    };
    let object =
        |n: usize| ((Owner::Store, key(n)), Draft { spec: spec.as_str().into(), ..draft(&n.to_string()) });
    Content { objects: (0..objects()).map(object).collect(), ..Content::default() }
}

/// The seconds in the line of what a command said that has these words.
fn seconds(said: &str, words: &str) -> f64 {
    let line = said.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}: {said}"));
    let time = line.rsplit_once(" in ").and_then(|(_, time)| time.strip_suffix(" s"));
    time.unwrap().parse().unwrap()
}

#[test]
fn many_objects_are_opened_read_exported_and_imported() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.jsonl");
    content().export(&mut BufWriter::new(File::create(&file).unwrap()), &mut |_, _| {}).unwrap();
    let file = file.display().to_string();
    let mut stores = vec![("embedded", embedded(&folder.path().join("data")))];
    for (kind, server) in [("redis", &*REDIS), ("postgres", &*POSTGRES), ("cassandra", &*CASSANDRA)] {
        let prefix = fresh(server).prefix;
        stores.push((kind, vec![format!("store.url={}", server.url()), format!("store.prefix={prefix}")]));
    }
    for (kind, store) in stores {
        let imported = succeeds(&["store", "import", &file], &store);
        figure(&format!("stores_{kind}_import_s"), seconds(&imported, "objects imported"));
        let again = folder.path().join("again.jsonl").display().to_string();
        let exported = succeeds(&["store", "export", &again], &store);
        figure(&format!("stores_{kind}_open_s"), seconds(&exported, "opened"));
        figure(&format!("stores_{kind}_read_s"), seconds(&exported, "objects read"));
        figure(&format!("stores_{kind}_export_s"), seconds(&exported, "objects written"));
        assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(&again).unwrap(), "{kind}: the same lines");
    }
}
