use std::sync::Mutex;

use dataplane_snapshot::wire::UsageCounts;
use tokio::sync::watch;

use super::*;
use crate::suite::{draft as backend, key};
use crate::{Changes, Committed, EmbeddedSettings, EmbeddedStore, Listing};

/// On 2026-11-30.
const NOW: Duration = Duration::from_secs(1_796_000_000);

fn counted(window: &str, worker: &str, requests: u64) -> UsageRow {
    let of = UsageKey {
        window: window.to_owned(),
        route: "route/default/a".to_owned(),
        consumer: "192.0.2.1".to_owned(),
    };
    let counts = UsageCounts { requests, sent: requests * 100, status_2xx: requests, ..Default::default() };
    UsageRow { of, worker: worker.to_owned(), counts }
}

fn quiet() -> impl FnMut(usize, usize) {
    |_, _| {}
}

fn empty() -> EmbeddedStore {
    let folder = tempfile::tempdir().unwrap();
    EmbeddedStore::open(folder.path().join("store"), EmbeddedSettings::default()).unwrap()
}

fn mirrored(name: &str) -> Batch {
    let epoch = Epoch { id: "cluster".to_owned(), created_at: 7 };
    let draft = Draft { generation: Some(4), ..backend(name) };
    let write = ObjectWrite { key: key(name), expected: Expected::Any, draft: Some(draft) };
    let revisions = [(dataplane_snapshot::Kind::Backend, 9)].into();
    Batch {
        owner: Owner::Kubernetes,
        writes: vec![write],
        as_of: Some(SourceAsOf { epoch, revisions }),
        fence: None,
    }
}

async fn filled() -> EmbeddedStore {
    let store = empty();
    for name in ["a", "b"] {
        store.put(&key(name), Expected::Absent, backend(name)).await.unwrap();
    }
    let unreadable = Draft { spec: "{\"no\nJSON".into(), ..backend("c") };
    store.put(&key("c"), Expected::Absent, unreadable).await.unwrap();
    store.commit(mirrored("a")).await.unwrap();
    store
}

fn export(content: &Content) -> String {
    let mut file = Vec::new();
    content.export(&mut file, &mut quiet()).unwrap();
    String::from_utf8(file).unwrap()
}

#[tokio::test]
async fn all_that_a_store_has_arrives_in_another_one() {
    let content = Content::read(&filled().await, NOW).await.unwrap();
    assert_eq!((content.objects.len(), content.mirrored.is_some()), (4, true));
    let read = Content::import(export(&content).as_bytes()).unwrap();
    assert_eq!(read, content);
    let other = empty();
    let mut told = Vec::new();
    read.write(&other, false, &mut |done, total| told.push((done, total))).await.unwrap();
    assert_eq!(told, [(3, 4), (4, 4)]);
    assert_eq!(Content::read(&other, NOW).await.unwrap(), content);
    let before = other.list(Owner::Store).await.unwrap().revision;
    read.write(&other, false, &mut quiet()).await.unwrap();
    assert_eq!(other.list(Owner::Store).await.unwrap().revision, before, "once more changes nothing");
}

#[tokio::test]
async fn what_a_store_has_already_is_only_replaced_if_asked() {
    let content = Content::read(&filled().await, NOW).await.unwrap();
    let other = empty();
    other.put(&key("b"), Expected::Absent, backend("other")).await.unwrap();
    other.put(&key("d"), Expected::Absent, backend("d")).await.unwrap();
    let refused = content.write(&other, false, &mut quiet()).await.unwrap_err();
    assert!(refused.to_string().contains("--replace"), "{refused}");
    content.write(&other, true, &mut quiet()).await.unwrap();
    assert_eq!(Content::read(&other, NOW).await.unwrap(), content);
}

/// A store to which somebody else writes right after it was read.
struct Shared {
    store: EmbeddedStore,
    meanwhile: Mutex<Option<Batch>>,
}

impl Shared {
    fn new(store: EmbeddedStore, meanwhile: Batch) -> Self {
        Self { store, meanwhile: Mutex::new(Some(meanwhile)) }
    }
}

#[async_trait::async_trait]
impl StateStore for Shared {
    async fn get(&self, owner: Owner, key: &Key) -> Result<Option<StoredObject>, StoreError> {
        self.store.get(owner, key).await
    }

    async fn list(&self, owner: Owner) -> Result<Listing, StoreError> {
        let listing = self.store.list(owner).await?;
        let meanwhile = self.meanwhile.lock().unwrap().take_if(|batch| batch.owner == owner);
        if let Some(batch) = meanwhile {
            self.store.commit(batch).await?;
        }
        Ok(listing)
    }

    async fn changes_since(&self, owner: Owner, revision: u64) -> Result<Changes, StoreError> {
        self.store.changes_since(owner, revision).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.store.commit(batch).await
    }

    fn subscribe(&self) -> watch::Receiver<u64> {
        self.store.subscribe()
    }

    async fn raise_usage(&self, rows: &[UsageRow]) -> Result<(), StoreError> {
        self.store.raise_usage(rows).await
    }

    async fn usage(&self, window: &str, routes: Option<&[String]>) -> Result<Vec<UsageRow>, StoreError> {
        self.store.usage(window, routes).await
    }

    async fn drop_usage(&self, window: &str) -> Result<(), StoreError> {
        self.store.drop_usage(window).await
    }
}

fn own(name: &str, draft: Option<Draft>) -> Batch {
    let write = ObjectWrite { key: key(name), expected: Expected::Any, draft };
    Batch { owner: Owner::Store, writes: vec![write], as_of: None, fence: None }
}

#[tokio::test]
async fn what_appears_after_a_store_was_read_is_not_overwritten() {
    let content = Content::read(&filled().await, NOW).await.unwrap();
    let other = Shared::new(empty(), own("b", Some(backend("other"))));
    let refused = content.write(&other, false, &mut quiet()).await.unwrap_err();
    assert!(matches!(&refused, TransferError::Occupied { key: there } if *there == key("b")), "{refused}");
    let there = other.list(Owner::Store).await.unwrap().objects;
    assert_eq!(there.iter().map(|object| &object.spec).collect::<Vec<_>>(), [&backend("other").spec]);
    assert!(other.list(Owner::Kubernetes).await.unwrap().as_of.is_none(), "it isn't whole yet");
}

#[tokio::test]
async fn what_is_written_after_a_store_was_read_is_not_replaced() {
    let content = Content::read(&filled().await, NOW).await.unwrap();
    let changed = || Some(backend("changed"));
    for (name, draft) in [("a", changed()), ("b", changed()), ("b", None), ("d", changed()), ("d", None)] {
        let other = empty();
        for name in ["b", "d"] {
            other.put(&key(name), Expected::Absent, backend("before")).await.unwrap();
        }
        let other = Shared::new(other, own(name, draft.clone()));
        let refused = content.write(&other, true, &mut quiet()).await.unwrap_err();
        assert!(matches!(refused, TransferError::Meanwhile(_)), "{name}: {refused}");
        assert!(refused.to_string().contains("may be repeated"), "{refused}");
        let there = other.get(Owner::Store, &key(name)).await.unwrap();
        assert_eq!(there.map(|object| object.spec), draft.map(|draft| draft.spec), "{name}");
        content.write(&other, true, &mut quiet()).await.unwrap();
        assert_eq!(Content::read(&other, NOW).await.unwrap(), content, "{name}");
    }
}

#[tokio::test]
async fn a_mirror_that_a_leader_begins_meanwhile_is_left_to_it() {
    let content = Content::read(&filled().await, NOW).await.unwrap();
    for replace in [false, true] {
        let begun = Batch { writes: Vec::new(), as_of: None, fence: Some(1), ..mirrored("b") };
        let other = Shared::new(empty(), begun);
        let refused = content.write(&other, replace, &mut quiet()).await.unwrap_err();
        assert!(matches!(refused, TransferError::Meanwhile(StoreError::Fenced { .. })), "{refused}");
        assert!(other.list(Owner::Kubernetes).await.unwrap().objects.is_empty());
        other.commit(Batch { fence: Some(1), ..mirrored("b") }).await.unwrap();
        content.write(&other, replace, &mut quiet()).await.unwrap();
        let mirror = other.list(Owner::Kubernetes).await.unwrap().objects;
        assert_eq!(mirror.iter().map(|object| &object.key).collect::<Vec<_>>(), [&key("b")]);
        assert_eq!(other.list(Owner::Store).await.unwrap().objects.len(), 3);
    }
}

#[tokio::test]
async fn a_file_that_was_cut_or_changed_is_refused() {
    let text = export(&Content::read(&filled().await, NOW).await.unwrap());
    let lines: Vec<_> = text.lines().collect();
    let import = |lines: &[&str]| Content::import(lines.join("\n").as_bytes()).unwrap_err().to_string();
    assert!(import(&lines[..lines.len() - 1]).contains("ends in the middle"));
    assert!(import(&[&lines[..2], &lines[3..]].concat()).contains("line 6: the lines before it"));
    assert!(import(&[&lines[..], &lines[2..3]].concat()).contains("the lines before it"));
    assert!(import(&lines[1..]).contains("line 1: this is no export"));
    assert!(import(&[&lines[..1], &lines[..]].concat()).contains("line 2: a second export"));
    let newer = lines[0].replace(":1", ":2");
    assert!(import(&[&newer]).contains("format 2 isn't known"), "{newer}");
    let changed = text.replacen("/b", "/x", 1);
    assert!(import(&changed.lines().collect::<Vec<_>>()).contains("the lines before it"));
}

#[test]
fn batches_are_bounded_by_count_and_bytes() {
    let write = |size: usize| {
        let draft = Draft { spec: "x".repeat(size).into(), ..backend("a") };
        ObjectWrite { key: key("a"), expected: Expected::Any, draft: Some(draft) }
    };
    let sizes = |writes| batches(writes).iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes(vec![write(1); 250]), [100, 100, 50]);
    assert_eq!(sizes(vec![write(BATCH.1 / 2); 3]), [2, 1]);
    assert_eq!(sizes(vec![write(BATCH.1 * 2); 2]), [1, 1]);
}

#[tokio::test]
async fn a_mirror_that_leaders_keep_is_left_to_them() {
    let (with, without) = (filled().await, empty());
    without.put(&key("a"), Expected::Absent, backend("a")).await.unwrap();
    let before = with.list(Owner::Kubernetes).await.unwrap();
    Content::read(&without, NOW).await.unwrap().write(&with, true, &mut quiet()).await.unwrap();
    let after = with.list(Owner::Kubernetes).await.unwrap();
    assert_eq!((after.objects, after.as_of), (before.objects, before.as_of), "it isn't an empty cluster now");
    assert_eq!(with.list(Owner::Store).await.unwrap().objects.len(), 1);

    let older = Content::read(&filled().await, NOW).await.unwrap();
    let newer = Batch { owner: Owner::Kubernetes, ..mirrored("b") };
    with.commit(newer).await.unwrap();
    older.write(&with, true, &mut quiet()).await.unwrap();
    assert_eq!(with.list(Owner::Kubernetes).await.unwrap().objects.len(), 2);
}

#[tokio::test]
async fn counts_move_and_never_go_back() {
    let store = filled().await;
    let rows = [counted("2026-11-30", "v", 5), counted("2026-11-30", "w", 7), counted("2026-11", "w", 9)];
    store.raise_usage(&rows).await.unwrap();
    let mut beat = counted("2026-11-30", "w", 4);
    beat.of.route.clear();
    store.raise_usage(&[counted("2026-09", "w", 99), beat]).await.unwrap();
    let content = Content::read(&store, NOW).await.unwrap();
    assert_eq!(content.counted.rows().collect::<Vec<_>>(), [&rows[2], &rows[0], &rows[1]].map(Clone::clone));
    let read = Content::import(export(&content).as_bytes()).unwrap();
    assert_eq!(read, content);

    let other = empty();
    other.raise_usage(&[counted("2026-11-30", "v", 4), counted("2026-11-30", "w", 8)]).await.unwrap();
    let there = Content::read(&other, NOW).await.unwrap();
    let behind: Vec<_> = there.counted.behind(&read.counted).cloned().collect();
    assert_eq!(behind, [counted("2026-11", "w", 9).of, counted("2026-11-30", "v", 5).of]);
    let mut told = Vec::new();
    read.write(&other, false, &mut |done, total| told.push((done, total))).await.unwrap();
    assert_eq!(told.last(), Some(&(7, 7)), "4 objects and 3 counts");
    let there = Content::read(&other, NOW).await.unwrap();
    assert_eq!(there.counted.behind(&read.counted).count(), 0);
    let further: Vec<_> = read.counted.behind(&there.counted).cloned().collect();
    assert_eq!(further, [counted("2026-11-30", "w", 8).of], "what was further there has stayed");
}

#[tokio::test]
async fn counts_that_are_cut_off_or_unreadable_are_refused_and_old_ones_left_out() {
    let store = empty();
    store.raise_usage(&[counted("2026-11-30", "v", 5), counted("2026-11", "w", 9)]).await.unwrap();
    let text = export(&Content::read(&store, NOW).await.unwrap());
    let mut lines: Vec<_> = text.lines().collect();
    let unreadable = lines[1].replace("5 0", "5 x").replace("9 0", "9 x");
    let error = Content::import([lines[0], &unreadable].join("\n").as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "line 2: counts are eleven numbers");
    let before_counts = Content::import(export(&Content::default()).replace(",\"counted\":0", "").as_bytes());
    assert_eq!(before_counts.unwrap(), Content::default(), "as earlier versions wrote it");
    lines.remove(1);
    assert!(Content::import(lines.join("\n").as_bytes()).is_err());

    let mut later = Content::import(text.as_bytes()).unwrap();
    later.leave_out_over(NOW + Duration::from_secs(32 * 86_400));
    assert_eq!(later.counted.rows().map(|row| row.of.window).collect::<Vec<_>>(), ["2026-11"]);
}

#[tokio::test]
async fn an_import_that_was_interrupted_is_done_again() {
    let content = Content::read(&filled().await, NOW).await.unwrap();
    let other = empty();
    other.commit(Batch { as_of: None, ..mirrored("a") }).await.unwrap();
    content.write(&other, false, &mut quiet()).await.unwrap();
    assert_eq!(Content::read(&other, NOW).await.unwrap(), content);

    let other = empty();
    other.commit(Batch { as_of: None, ..mirrored("left") }).await.unwrap();
    assert!(content.write(&other, false, &mut quiet()).await.is_err(), "of another import");
    content.write(&other, true, &mut quiet()).await.unwrap();
    assert_eq!(Content::read(&other, NOW).await.unwrap(), content);
}

#[tokio::test]
async fn a_mirror_is_compared_where_both_have_one() {
    let content = Content::read(&filled().await, NOW).await.unwrap();
    assert_eq!(content.objects[&(Owner::Store, key("a"))].generation, None, "each store counts by itself");
    assert_eq!(content.objects[&(Owner::Kubernetes, key("a"))].generation, Some(4));
    let mut other = content.clone();
    other.objects.remove(&(Owner::Kubernetes, key("a")));
    assert_eq!(content.differences(&other).len(), 1);
    other.mirrored = None;
    assert!(content.differences(&other).is_empty() && other.differences(&content).is_empty());
}
