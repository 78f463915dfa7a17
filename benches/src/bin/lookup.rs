//! Prints what a lookup and a compile step cost at 10,000 routes, one `name=value` a line. No instruction counts: those
//! come from the bench `instructions`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use benches::wire_routes::{self, LISTENER, Request};
use dataplane_core::served::Served;
use dataplane_core::{BackendStates, Decision, ListenerId, RequestHead as _, Router};

const ROUTES: usize = 10_000;
const REQUESTS: usize = 5_000;
const ROUNDS: usize = 40;

/// The system's allocator, counted.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[expect(unsafe_code, reason = "an allocator can't be written without; each call is passed on as it came")]
// SAFETY: every method passes its arguments to `System`, which keeps the contract, and gives back its answer.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and every pointer comes from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`, and every pointer comes from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(clippy::print_stdout, reason = "what the program is for")]
fn main() {
    let snapshot = wire_routes::snapshot(ROUTES);
    let edited = wire_routes::edited(&snapshot, ROUTES);
    let moved = wire_routes::moved(&snapshot);
    let states = BackendStates::new();
    let compile = |snapshot, previous: Option<&Router>| {
        let served = Served::new(snapshot);
        let begin = Instant::now();
        let compiled = Router::compile(&served, previous, &states);
        (compiled.router, begin.elapsed())
    };
    let (router, whole) = compile(snapshot, None);
    let (_, edit) = compile(edited, Some(&router));
    let (_, moved) = compile(moved, Some(&router));
    println!("routes={ROUTES}");
    println!("compile_ms={}", millis(whole));
    println!("compile_edit_ms={}", millis(edit));
    println!("compile_moved_pod_ms={}", millis(moved));
    if let Some(listener) = router.listener_id(LISTENER) {
        let lookups = measure(&router, listener);
        println!("allocations_per_lookup={}", lookups.allocations as f64 / lookups.nanos.len() as f64);
        println!("lookups={}", lookups.nanos.len());
        println!("lookup_hits={}", lookups.hits);
        println!("lookup_p50_ns={}", lookups.percentile(50));
        println!("lookup_p99_ns={}", lookups.percentile(99));
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

struct Lookups {
    allocations: u64,
    hits: usize,
    /// Sorted.
    nanos: Vec<u64>,
}

impl Lookups {
    fn percentile(&self, percent: usize) -> u64 {
        self.nanos.get(self.nanos.len() * percent / 100).copied().unwrap_or_default()
    }
}

/// Looks each request up, one by one, in an order that isn't that of the routes. The clock's own time is part of the
/// figures.
fn measure(router: &Router, listener: ListenerId) -> Lookups {
    let requests = wire_routes::requests(ROUTES, REQUESTS);
    let mut nanos = vec![0; REQUESTS * ROUNDS];
    let mut hits = 0;
    let before = ALLOCATIONS.load(Relaxed);
    for (number, place) in nanos.iter_mut().enumerate() {
        // A stride without a common divisor visits all.
        let Some(request) = requests.get(number * 1_999 % REQUESTS) else { continue };
        // The codec has just read the head of a request when the router sees it.
        black_box(request.host().bytes().chain(request.path().bytes()).fold(0, u8::wrapping_add));
        black_box(request.header("x-tenant").count());
        let begin = Instant::now();
        let found = look_up(router, listener, request);
        *place = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        hits += usize::from(found);
    }
    let allocations = ALLOCATIONS.load(Relaxed) - before;
    nanos.sort_unstable();
    Lookups { allocations, hits, nanos }
}

fn look_up(router: &Router, listener: ListenerId, request: &Request) -> bool {
    matches!(black_box(router.route(listener, black_box(request))), Decision::Found(_))
}
