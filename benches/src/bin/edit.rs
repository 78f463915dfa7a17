//! `edit [ROUTES [BACKENDS]]`: what one edit costs a leader and a worker in processor time, by its parts. One `name=value` a
//! line: median and maximum of 200 edits, in microseconds.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use benches::world;
use bytes::Bytes;
use dataplane_core::served::Served;
use dataplane_core::{BackendStates, Router};
use dataplane_snapshot::{Snapshot, diff, wire};
use operator_core::session::History;
use operator_core::{Memo, Observed, SourceView, World, plan};
use prost::Message as _;
use rustix::time::{ClockId, clock_gettime};

const EDITS: usize = 200;

/// The parts of an edit, in their order. `source` and `drop` aren't part of the sum: what the source itself does, and the
/// end of what was before.
const PARTS: [&str; 10] =
    ["source", "join", "plan", "history", "encode", "decode", "served", "compile", "drop", "sum"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let routes = arguments.next().map_or(Ok(40_000), |text| text.parse())?;
    let backends = arguments.next().map_or(Ok(4_000), |text| text.parse())?;
    let mut both = Both::new(routes, backends);
    print(&format!("routes={routes}\nbackends={backends}\nobjects={}", both.snapshot.len()));
    both.measure("route_changed", |view, round| {
        world::put(view, world::route(spread(round, routes), backends, &format!("/{round}")));
    })?;
    both.measure("backend_changed", |view, round| {
        let port = 9_000 + u16::try_from(round).unwrap_or_default();
        world::put(view, world::backend(spread(round, backends), port));
    })?;
    both.measure("route_added", |view, round| world::put(view, added(round, routes, backends)))?;
    both.measure("route_removed", |view, round| {
        world::remove(view, &added(round, routes, backends).key);
    })?;
    both.measure("backend_added", |view, round| world::put(view, world::backend(backends + round, 9_000)))?;
    Ok(())
}

/// A number below `count`, far from that of the round before.
fn spread(round: usize, count: usize) -> usize {
    round * 7_919 % count.max(1)
}

fn added(round: usize, routes: usize, backends: usize) -> Observed {
    world::route(routes + spread(round, EDITS), backends, "")
}

/// A leader and a worker without what is between them.
struct Both {
    view: SourceView,
    world: World,
    memo: Memo,
    snapshot: Snapshot,
    history: History,
    received: Snapshot,
    served: Served,
    router: Router,
    states: BackendStates,
}

impl Both {
    fn new(routes: usize, backends: usize) -> Self {
        let view = world::view(routes, backends);
        let world = World::join(world::listeners(), [&view]);
        let (plan, memo) = plan(&world, &Memo::default());
        let served = Served::new(plan.snapshot.clone());
        let states = BackendStates::new();
        let router = Router::compile(&served, None, &states).router;
        let (snapshot, received) = (plan.snapshot.clone(), plan.snapshot);
        Self { view, world, memo, snapshot, history: History::default(), received, served, router, states }
    }

    /// Prints what [`EDITS`] edits cost.
    fn measure(
        &mut self,
        name: &str,
        mut change: impl FnMut(&mut SourceView, usize),
    ) -> Result<(), Box<dyn Error>> {
        let rounds =
            (0..EDITS).map(|round| self.edit(|view| change(view, round))).collect::<Result<Vec<_>, _>>()?;
        for (part, named) in PARTS.iter().enumerate() {
            let mut times: Vec<u128> =
                rounds.iter().filter_map(|times| times.get(part)).map(Duration::as_micros).collect();
            times.sort_unstable();
            let median = times.get(times.len() / 2).copied().unwrap_or_default();
            let most = times.last().copied().unwrap_or_default();
            print(&format!("{name}_{named}_us={median}\n{name}_{named}_max_us={most}"));
        }
        Ok(())
    }

    /// One edit, through all of both. The times are in the order of [`PARTS`].
    fn edit(&mut self, change: impl FnOnce(&mut SourceView)) -> Result<Vec<Duration>, Box<dyn Error>> {
        let mut laps = Laps::start();
        // A source gives away a copy of what it goes on with.
        let mut view = self.view.clone();
        change(&mut view);
        laps.lap();
        let world = self.world.follow(self.world.listeners.clone(), [&view]);
        laps.lap();
        let (plan, memo) = plan(&world, &self.memo);
        laps.lap();
        let changes = diff(&self.snapshot, &plan.snapshot);
        let mut history = self.history.clone();
        let keys = changes.upserts.iter().map(|object| object.key().clone()).chain(changes.removals);
        history.push(vec![self.snapshot.root()], keys.collect());
        laps.lap();
        let bytes = encode(&self.snapshot, &plan.snapshot, &history)?;
        laps.lap();
        let received = wire::State::decode_onto(bytes, Some(&self.received))?;
        laps.lap();
        let served = self.served.advance(received.clone());
        laps.lap();
        let compiled = Router::compile(&served, Some(&self.router), &self.states);
        laps.lap();
        if !compiled.rejected.is_empty() || received.root() != plan.snapshot.root() {
            return Err("the worker doesn't serve what the leader planned".into());
        }
        (self.view, self.world, self.memo, self.history) = (view, world, memo, history);
        (self.snapshot, self.received, self.served) = (plan.snapshot.clone(), received, served);
        self.router = compiled.router;
        drop(plan);
        laps.lap();
        Ok(laps.into_times())
    }
}

/// What a worker at `base` is sent.
fn encode(base: &Snapshot, next: &Snapshot, history: &History) -> Result<Bytes, Box<dyn Error>> {
    let keys = history.since(base.root()).ok_or("the change isn't remembered")?;
    let (mut upserts, mut removals) = (Vec::new(), Vec::new());
    for key in keys {
        match next.get(key) {
            Some(object) => upserts.push(object),
            None => removals.push(key.clone()),
        }
    }
    Ok(wire::State::from_base(base.root(), next, upserts, removals).encode_to_vec().into())
}

struct Laps {
    times: Vec<Duration>,
    last: Duration,
}

impl Laps {
    fn start() -> Self {
        Self { times: Vec::with_capacity(PARTS.len()), last: on_processor() }
    }

    fn lap(&mut self) {
        let now = black_box(on_processor());
        self.times.push(now.saturating_sub(self.last));
        self.last = on_processor();
    }

    /// With the sum of all but the first and the last.
    fn into_times(mut self) -> Vec<Duration> {
        let counted = self.times.len().saturating_sub(2);
        let sum = self.times.iter().skip(1).take(counted).sum();
        self.times.push(sum);
        self.times
    }
}

/// How long this thread has run.
fn on_processor() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), nanos)
}

#[expect(clippy::print_stdout, reason = "what the program is for")]
fn print(text: &str) {
    println!("{text}");
}
