//! Leaders, workers and a bad network in simulated time, by a seed: messages are lost, repeated, overtaken and damaged,
//! processes crash and are stopped, disks tear, clocks jump, versions are mixed, leaders lag each other and may have stores of
//! their own, and the source is restored from a backup. What decides is the product's own code, with time and randomness passed in. After every event:
//! a worker serves no partial state and never goes back, and nothing is said to be programmed that isn't; after the last
//! fault all arrive at the newest state.
//!
//! `SEEDS=10000` runs so many, `SEED=7` runs one with a trace.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a fault of the simulation fails the test"
)]

mod check;
mod dice;
mod disk;
mod leader;
mod message;
mod truth;
mod worker;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Without `SEEDS`.
const FEW: u64 = 150;

#[test]
fn whatever_goes_wrong_nothing_lies_and_all_arrive() {
    if let Some(seed) = number("SEED") {
        let events = world::run(seed, true);
        return println!("seed {seed} holds, with {events} events");
    }
    let seeds = number("SEEDS").unwrap_or(FEW);
    let start = Instant::now();
    let (next, events) = (AtomicU64::new(0), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failed: Vec<u64> = std::thread::scope(|scope| {
        let one = || {
            let mut failed = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds || failed.len() >= 3 {
                    return failed;
                }
                match catch_unwind(AssertUnwindSafe(|| world::run(seed, false))) {
                    Ok(count) => drop(events.fetch_add(count, Ordering::Relaxed)),
                    Err(_) => failed.push(seed),
                }
            }
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("panics are caught")).collect()
    });
    let rate = seeds as f64 / start.elapsed().as_secs_f64();
    println!("{seeds} seeds, {} events, {rate:.0} seeds/s", events.into_inner());
    if let Some(seed) = failed.iter().min() {
        panic!(
            "seeds {failed:?} fail; replay one by\n    SEED={seed} cargo test -p komainu-operator-core --test simulation -- --nocapture"
        );
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}
