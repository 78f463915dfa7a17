use dataplane_snapshot::wire::{self, FilterKind, FilterSettings, Payload};
use dataplane_snapshot::{Epoch, SourceAsOf, TENANT_LABEL, diff};
use proptest::prelude::*;
use proptest::{collection, sample};

use super::*;

const NAMES: [&str; 3] = ["a", "b", "c"];

fn key(kind: Kind, name: &str) -> Key {
    let namespace = if kind == Kind::Unknown { "shoe/x" } else { "x" };
    Key::new(kind, namespace, name)
}

fn texts(kind: Kind, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| key(kind, name).to_string()).collect()
}

/// Names each of `names`, by whatever an object of the kind can name others by.
fn payload(kind: Kind, names: &[&str]) -> Payload {
    match kind {
        Kind::Listener => {
            let (certificates, client_authorities) =
                (texts(Kind::Certificate, names), texts(Kind::Certificate, &names[..names.len().min(1)]));
            let tls = wire::ListenerTls { certificates, client_authorities, ..Default::default() };
            Payload::Listener(wire::Listener { tls: Some(tls), ..Default::default() })
        }
        Kind::Route => {
            let mut backends = texts(Kind::Backend, names).into_iter();
            let mirror = backends.next().map(|backend| {
                FilterSettings::Mirror(wire::RequestMirror { backend, share: None }).of(FilterKind::Mirror)
            });
            let to = |backend| wire::Destination { backend, weight: 1, filters: Vec::new() };
            let destinations = backends.map(to).collect();
            let rule =
                wire::Rule { filters: mirror.into_iter().collect(), destinations, matches: Vec::new() };
            Payload::Route(wire::Route { rules: vec![rule], ..Default::default() })
        }
        Kind::Backend => {
            let password = texts(Kind::Secret, names).pop().unwrap_or_default();
            let proxy = Some(Box::new(wire::ForwardProxy { password, ..Default::default() }));
            let client = Some(wire::ClientSettings { proxy, ..Default::default() });
            Payload::Backend(wire::Backend { client, ..Default::default() })
        }
        Kind::Endpoints => {
            let (shown, trusted) = names.split_at(names.len() / 2);
            let tls = wire::TargetTls {
                client_certificates: texts(Kind::Certificate, shown),
                trusted: texts(Kind::Certificate, trusted),
                trust_all: false,
            };
            let target = wire::Target { tls: Some(tls), ..Default::default() };
            Payload::Endpoints(wire::Endpoints { targets: vec![target] })
        }
        Kind::Certificate => Payload::Certificate(wire::Certificate::default()),
        Kind::Secret | Kind::Limit | Kind::Service | Kind::Slice | Kind::Grant => {
            Payload::Secret(wire::Secret { kind: None })
        }
        // What it says can't be judged, whatever it looks like.
        Kind::Unknown => payload(Kind::Route, names),
    }
}

fn object(kind: Kind, name: &str, tenant: &str, names: &[&str]) -> Object {
    let labels = BTreeMap::from([(TENANT_LABEL.to_owned(), tenant.to_owned())]);
    let content = wire::Content { labels, payload: Some(payload(kind, names)) };
    Object::encode(key(kind, name), &content)
}

/// An object, or a key that is taken away.
fn edit() -> impl Strategy<Value = (Key, Option<Object>)> {
    let name = || sample::select(NAMES.to_vec());
    let kind = sample::select([&Kind::ALL[..6], &[Kind::Unknown]].concat());
    let names = sample::subsequence(NAMES.to_vec(), 0..=3);
    (kind, name(), name(), names, prop::bool::weighted(0.7)).prop_map(
        |(kind, name, tenant, names, is_there)| {
            (key(kind, name), is_there.then(|| object(kind, name, tenant, &names)))
        },
    )
}

/// By walking from what is selected, without any memory.
fn expected(scope: &Scope, whole: &Snapshot) -> BTreeSet<Key> {
    let is_first = |object: &&Object| match object.key().kind() {
        Kind::Listener => true,
        Kind::Route => scope.selects(object.key().namespace(), &labels(object)),
        _ => false,
    };
    let mut open: Vec<Key> = whole.objects().filter(is_first).map(|object| object.key().clone()).collect();
    let mut reached = BTreeSet::new();
    while let Some(key) = open.pop() {
        let Some(object) = whole.get(&key) else { continue };
        if reached.insert(key) {
            open.extend(references(object));
        }
    }
    reached
}

fn as_of(revision: usize) -> AsOf {
    let epoch = Epoch { id: "e".into(), created_at: 1 };
    let revisions = BTreeMap::from([(Kind::Route, revision as u64)]);
    AsOf(BTreeMap::from([("files".into(), SourceAsOf { epoch, revisions })]))
}

proptest! {
    /// After any edits the part is the listeners, the selected Routes and all that is reached from them, as if it were made
    /// anew; with the as-of of the whole, and for each object that of its coming.
    #[test]
    fn is_what_is_selected_and_what_that_references(
        batches in collection::vec(collection::vec(edit(), 1..6), 1..12),
    ) {
        let scope = Scope::new(&[], &[], &["a"]).unwrap();
        let mut whole = Snapshot::default();
        let mut scoped = Scoped::new(scope.clone(), &whole);
        let mut entered: BTreeMap<Key, AsOf> = BTreeMap::new();
        for (revision, batch) in batches.into_iter().enumerate() {
            let mut last: BTreeMap<Key, Option<Object>> = BTreeMap::new();
            last.extend(batch);
            let removals: Vec<Key> =
                last.iter().filter(|(_, object)| object.is_none()).map(|(key, _)| key.clone()).collect();
            let next = whole.edit(last.into_values().flatten(), &removals, as_of(revision));
            let changes = diff(&whole, &next);
            scoped = scoped.advance(&next, changes.upserts.iter().map(Object::key).chain(&changes.removals));
            whole = next;
            let keys: BTreeSet<Key> = scoped.part().state().objects().map(|object| object.key().clone()).collect();
            prop_assert_eq!(&keys, &expected(&scope, &whole));
            entered.retain(|key, _| keys.contains(key));
            for key in &keys {
                entered.entry(key.clone()).or_insert_with(|| as_of(revision));
            }
            let told: BTreeMap<Key, AsOf> =
                scoped.part().entered.iter().map(|(key, as_of)| (key.clone(), AsOf::clone(as_of))).collect();
            prop_assert_eq!(&told, &entered);
            prop_assert_eq!(scoped.part().state().as_of(), whole.as_of());
            let anew = Scoped::new(scope.clone(), &whole);
            prop_assert_eq!(anew.part().state().root(), scoped.part().state().root());
            prop_assert_eq!(anew.included.len(), scoped.included.len(), "nothing is kept that isn't used");
        }
    }
}

#[test]
fn a_secret_of_another_tenant_is_in_no_other_part() {
    let objects = [
        object(Kind::Route, "a", "a", &["a"]),
        object(Kind::Route, "b", "b", &["b"]),
        object(Kind::Backend, "a", "a", &["a"]),
        object(Kind::Backend, "b", "b", &["b"]),
        object(Kind::Secret, "a", "a", &[]),
        object(Kind::Secret, "b", "b", &[]),
    ];
    let whole = Snapshot::new(objects, AsOf::default());
    let scope = Scope::new(&[], &[], &["b"]).unwrap();
    let keys: Vec<String> =
        Scoped::new(scope, &whole).part().state().objects().map(|object| object.key().to_string()).collect();
    assert_eq!(keys, ["route/x/b", "backend/x/b", "secret/x/b"]);
}

#[test]
fn the_key_of_another_kind_is_no_reference() {
    let to = wire::Destination { backend: "route/x/a".to_owned(), weight: 1, filters: Vec::new() };
    let rule = wire::Rule { destinations: vec![to], ..Default::default() };
    let route = Payload::Route(wire::Route { rules: vec![rule], ..Default::default() });
    assert_eq!(references(&Object::encode(key(Kind::Route, "a"), &route.into())), []);
}

/// A worker goes on with the last good version of what is held, which needs its backend.
#[test]
fn what_is_held_keeps_what_it_referenced() {
    let objects = [object(Kind::Route, "a", "a", &["a", "b"]), object(Kind::Backend, "a", "a", &["a"])];
    let more = [object(Kind::Backend, "b", "b", &[]), object(Kind::Secret, "a", "b", &[])];
    let whole = Snapshot::new(objects.into_iter().chain(more), AsOf::default());
    let scoped = Scoped::new("tenants=a".parse().unwrap(), &whole);
    let labels = BTreeMap::from([(TENANT_LABEL.to_owned(), "a".to_owned())]);
    let held = Payload::Held(wire::Held { reason: "a typo".to_owned(), route: None });
    let held = Object::encode(key(Kind::Route, "a"), &wire::Content { labels, payload: Some(held) });
    let worse = whole.edit([held], &[], AsOf::default());
    let scoped = scoped.advance(&worse, [&key(Kind::Route, "a")]);
    assert_eq!(scoped.part().state().root(), worse.root(), "all of it");
    let better = worse.edit([object(Kind::Route, "a", "a", &["b"])], &[], AsOf::default());
    let scoped = scoped.advance(&better, [&key(Kind::Route, "a")]);
    let keys: Vec<String> = scoped.part().state().objects().map(|object| object.key().to_string()).collect();
    assert_eq!(keys, ["route/x/a", "backend/x/b"]);
}
