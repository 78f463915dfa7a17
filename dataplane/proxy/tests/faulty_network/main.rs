//! Leaders and workers over real HTTP, on a simulated network that delays, holds and cuts, while all of them crash and come back.
//!
//! `SEED=n` runs that seed, `SEEDS=n` so many. The network and the faults follow the seed, and time is the simulation's own;
//! threads that decode and write files are real.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a fault of the simulation fails the test")]

mod faults;
mod leader;
mod source;
mod worker;

use std::time::Duration;

use faults::Faults;
use leader::Leader;
use source::Source;
use turmoil::{Builder, Sim};
use worker::Worker;

const LEADERS: [&str; 2] = ["leader-a", "leader-b"];
const WORKERS: [&str; 3] = ["worker-a", "worker-b", "worker-c"];

/// How much time passes for everybody before it is looked at them.
const TICK: Duration = Duration::from_millis(5);

/// How long things go wrong.
const FAULTY: Duration = Duration::from_secs(10);

/// How long it may take until all is well once nothing goes wrong any more.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_state_is_whole_never_older_and_arrives_in_the_end() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(3),
    };
    let count = seeds.clone().count();
    let swaps: usize = seeds.map(simulate).sum();
    println!("{count} seeds, {swaps} states served");
}

/// Gives how many states were served.
fn simulate(seed: u64) -> usize {
    let source = Source::default();
    let mut sim = Builder::new()
        .rng_seed(seed)
        .tick_duration(TICK)
        .simulation_duration(FAULTY + 2 * PATIENCE)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(30))
        .build();
    let lags = [Duration::ZERO, Duration::from_millis(700)];
    let leaders: Vec<_> =
        LEADERS.iter().zip(lags).map(|(name, lag)| Leader::start(&mut sim, name, &source, lag)).collect();
    let workers: Vec<_> = WORKERS.iter().map(|name| Worker::start(&mut sim, name, &source)).collect();
    let mut faults = Faults::new(seed);
    while sim.elapsed() < FAULTY {
        faults.next(&mut sim, &source);
        step(&mut sim, seed, &leaders, &workers);
    }
    faults.end(&mut sim, &source);
    let newest = source.newest().unwrap();
    let deadline = sim.elapsed() + PATIENCE;
    let all_is_well = || {
        workers.iter().all(|worker| {
            worker.serves() == Some(newest.root())
                && leaders.iter().any(|leader| leader.knows(worker.name, newest.root()))
        })
    };
    while !all_is_well() {
        assert!(
            sim.elapsed() < deadline,
            "SEED={seed}: not all have the newest state in the end: {workers:?}"
        );
        step(&mut sim, seed, &leaders, &workers);
    }
    workers.iter().map(Worker::served).sum()
}

/// A while passes, after which everything that must always hold does.
fn step(sim: &mut Sim<'_>, seed: u64, leaders: &[Leader], workers: &[Worker]) {
    sim.step().unwrap();
    for worker in workers {
        assert_eq!(worker.faults(), [""; 0], "SEED={seed} at {:?}: {}", sim.elapsed(), worker.name);
    }
    for leader in leaders {
        for (name, root) in leader.believes() {
            let told = workers.iter().any(|worker| worker.name == name && worker.has_served(root));
            assert!(
                told,
                "SEED={seed} at {:?}: {} believes what {name} never served",
                sim.elapsed(),
                leader.name
            );
        }
    }
}
