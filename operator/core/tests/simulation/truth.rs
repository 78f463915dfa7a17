//! The source that all leaders watch, with all that it ever was.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use dataplane_snapshot::{Epoch, Key, Kind, SourceAsOf};
use operator_core::{Observed, Origin, Owner, SecretSpec, SourceView, Spec};

use crate::dice::Dice;

pub(crate) const KINDS: [Kind; 3] = [Kind::Backend, Kind::Route, Kind::Secret];

/// How many names there are of each kind: few, so that references, edits and deletions meet.
const NAMES: [usize; 3] = [3, 4, 1];

type Objects = Arc<BTreeMap<Key, Arc<Observed>>>;

/// One kind, as it was from a revision on.
#[derive(Clone)]
struct Stage {
    revision: u64,
    objects: Objects,
}

/// What happened between two restores.
struct Life {
    epoch: Epoch,
    revision: u64,
    /// By the index of the kind in [`KINDS`].
    logs: [Vec<Stage>; 3],
}

pub(crate) struct Truth {
    lives: Vec<Life>,
    /// Numbers the writes, by the address of what was written; the lives keep that in place.
    writes: BTreeMap<usize, u64>,
}

/// How much of the truth somebody has seen. Kinds are watched one by one, and may lag each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    life: usize,
    at: [usize; 3],
}

impl Truth {
    pub(crate) fn new() -> Self {
        let stage = || vec![Stage { revision: 1, objects: Objects::default() }];
        let epoch = Epoch { id: "e.0".into(), created_at: 1 };
        let life = Life { epoch, revision: 1, logs: [stage(), stage(), stage()] };
        Self { lives: vec![life], writes: BTreeMap::new() }
    }

    /// Makes a state that never was: one that failed to apply, here by chance, isn't tried again while nothing else comes.
    pub(crate) fn last_edit(&mut self) -> String {
        self.put(0, 0, Some(LAST.clone()))
    }

    /// Puts or removes an object; tells which.
    pub(crate) fn edit(&mut self, dice: &mut Dice) -> String {
        let kind = [1, 1, 1, 0, 0, 2][dice.index(6)];
        let name = dice.index(NAMES[kind]);
        let (delete, touch, variant) = (dice.is(0.2), dice.is(0.15), dice.index(SPECS[kind].len()));
        let spec = SPECS[kind][variant].clone();
        let before = self.get(kind, name).filter(|_| touch).map(|before| before.spec.clone());
        self.put(kind, name, (!delete).then(|| before.unwrap_or(spec)))
    }

    fn key(kind: usize, name: usize) -> Key {
        Key::new(KINDS[kind], "default", format!("{}{name}", KINDS[kind].as_str()))
    }

    fn get(&self, kind: usize, name: usize) -> Option<&Arc<Observed>> {
        self.lives.last()?.logs[kind].last()?.objects.get(&Self::key(kind, name))
    }

    fn put(&mut self, kind: usize, name: usize, spec: Option<Spec>) -> String {
        let life = self.lives.last_mut().expect("there is always one");
        let key = Self::key(kind, name);
        let mut objects = BTreeMap::clone(&life.logs[kind].last().expect("there is always one").objects);
        life.revision += 1;
        objects.remove(&key);
        let done = format!("{} {key} at {}", if spec.is_some() { "puts" } else { "removes" }, life.revision);
        if let Some(spec) = spec {
            let observed = Arc::new(Observed {
                key: key.clone(),
                spec,
                labels: BTreeMap::new(),
                generation: i64::try_from(life.revision).expect("it is small"),
                uid: String::new(),
                origin: Origin::Kubernetes,
            });
            let number = self.writes.len() as u64;
            self.writes.insert(Arc::as_ptr(&observed).addr(), number);
            objects.insert(key, observed);
        }
        life.logs[kind].push(Stage { revision: life.revision, objects: Arc::new(objects) });
        done
    }

    /// A backup takes the place of what is there: a new epoch that begins with an earlier state.
    pub(crate) fn restore(&mut self, dice: &mut Dice) -> String {
        let last = self.lives.last().expect("there is always one");
        let revision = 1 + dice.index(usize::try_from(last.revision).expect("it is small")) as u64;
        let stage = |log: &Vec<Stage>| {
            let stage = log.iter().rev().find(|stage| stage.revision <= revision).unwrap_or(&log[0]);
            vec![Stage { revision: stage.revision.min(revision), objects: stage.objects.clone() }]
        };
        let logs = [stage(&last.logs[0]), stage(&last.logs[1]), stage(&last.logs[2])];
        let number = self.lives.len();
        let epoch = last.epoch.successor(&number.to_string(), 1 + number as u64);
        self.lives.push(Life { epoch, revision, logs });
        format!("is restored to revision {revision} as epoch {number}")
    }

    pub(crate) fn newest(&self) -> Position {
        let life = self.lives.len() - 1;
        let at = [0, 1, 2].map(|kind| self.lives[life].logs[kind].len() - 1);
        Position { life, at }
    }

    /// Somewhat further than `from`: of one kind, or into the next life.
    pub(crate) fn further(&self, from: Position, dice: &mut Dice) -> Position {
        if from.life + 1 < self.lives.len() && dice.is(0.5) {
            let at = [0, 1, 2].map(|kind| dice.index(self.lives[from.life + 1].logs[kind].len()));
            return Position { life: from.life + 1, at };
        }
        let mut next = from;
        let kind = dice.index(3);
        let last = self.lives[from.life].logs[kind].len() - 1;
        next.at[kind] =
            from.at[kind] + dice.index(last - from.at[kind] + 1).max(usize::from(from.at[kind] < last));
        next
    }

    /// Where a leader begins: at what a cache of the source has, which may lag.
    pub(crate) fn somewhere(&self, dice: &mut Dice) -> Position {
        let newest = self.newest();
        Position { life: newest.life, at: newest.at.map(|at| at - dice.index(at.min(3) + 1)) }
    }

    pub(crate) fn view(&self, position: Position) -> SourceView {
        let life = &self.lives[position.life];
        let stages = || (0..3).map(|kind| (KINDS[kind], &life.logs[kind][position.at[kind]]));
        let revisions = stages().map(|(kind, stage)| (kind, stage.revision)).collect();
        let objects = stages().flat_map(|(_, stage)| stage.objects.iter());
        SourceView {
            owner: Owner::Kubernetes,
            as_of: SourceAsOf { epoch: life.epoch.clone(), revisions },
            objects: objects.map(|(key, observed)| (key.clone(), observed.clone())).collect(),
        }
    }

    /// The number of the write that made an object what it is.
    pub(crate) fn write_of(&self, observed: &Arc<Observed>) -> u64 {
        self.writes[&Arc::as_ptr(observed).addr()]
    }
}

/// What is only written at the end.
static LAST: LazyLock<Spec> = LazyLock::new(|| {
    let spec = r#"{"targets":[{"hostname":"last.test","port":1}]}"#;
    Spec::Backend(Arc::new(serde_json::from_str(spec).expect("it is a spec")))
});

/// What may be written, by the index of the kind: good objects, ones that are refused, ones with references that may lead
/// nowhere, and routes by `/new`, which older workers can't use.
static SPECS: LazyLock<[Vec<Spec>; 3]> = LazyLock::new(|| {
    let backend = |text: &str| Spec::Backend(Arc::new(serde_json::from_str(text).expect("it is a spec")));
    let route = |text: &str| Spec::Route(Arc::new(serde_json::from_str(text).expect("it is a spec")));
    let secret = |text: &str| {
        let entries = BTreeMap::from([("k".to_owned(), text.to_owned())]);
        Spec::Secret(Arc::new(SecretSpec { entries }))
    };
    let proxy = r#""client":{"proxy":{"host":"p","port":1,"principal":"a","passwordSecret":{"name":"secret0","key":"k"}}}"#;
    [
        vec![
            backend(r#"{"targets":[{"hostname":"one.test","port":1}]}"#),
            backend(r#"{"targets":[{"hostname":"one.test","port":2}]}"#),
            backend(r#"{"targets":[{"hostname":"two.test","port":1}],"root":"/v2"}"#),
            backend(r#"{"targets":[],"root":"bad"}"#),
            backend(&format!(r#"{{"targets":[{{"hostname":"one.test","port":3}}],{proxy}}}"#)),
            backend(&format!(r#"{{"targets":[],{proxy}}}"#)),
        ],
        vec![
            route(r#"{"matches":[{"paths":[{"value":"/a"}]}],"backends":[{"ref":{"name":"backend0"}}]}"#),
            route(r#"{"matches":[{"paths":[{"value":"/b"}]}],"backends":[{"ref":{"name":"backend1"}}]}"#),
            route(r#"{"matches":[{"paths":[{"value":"/new"}]}],"backends":[{"ref":{"name":"backend0"}}]}"#),
            route(
                r#"{"matches":[{"paths":[{"value":"/c"}]}],"backends":[{"ref":{"name":"backend1"}},{"ref":{"name":"backend2"}}]}"#,
            ),
            route(r#"{"matches":[{"paths":[{"value":"bad"}]}],"backends":[{"ref":{"name":"backend0"}}]}"#),
            route(r#"{"enabled":false,"backends":[{"ref":{"name":"backend0"}}]}"#),
        ],
        vec![secret("one"), secret("two"), secret("bad\0")],
    ]
});
