//! What a small request costs in allocations. The only test of this binary, since all threads are counted.
#![expect(unsafe_code, reason = "a counting allocator can't be written without")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};

use dataplane_snapshot::wire;
use support::Setup;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: everything is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const REQUEST: &[u8] =
    b"GET /index.html?a=b HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";
const BODY: usize = 1024;

/// An upstream that allocates nothing per request.
fn upstream() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut response =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\nServer: test\r\n\r\n").into_bytes();
            response.resize(response.len() + BODY, b'x');
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                // One request is one segment here.
                while stream.read(&mut buffer).is_ok_and(|len| len > 0) {
                    stream.write_all(&response).unwrap();
                }
            });
        }
    });
    address
}

#[test]
fn a_small_get_needs_at_most_12_allocations() {
    const ROUNDS: u64 = 1000;
    // As with the defaults of the custom resource.
    let breaker = wire::Breaker { max_errors: 20, interval: 2000, server_errors: true };
    let setup = Setup::new(upstream()).retries(1);
    let gateway = setup.client(|client| client.breaker = Some(breaker)).start();
    let mut client = TcpStream::connect(gateway.address()).unwrap();
    client.set_read_timeout(Some(support::PATIENCE)).unwrap();
    let mut buffer = [0; 4096];
    let mut round = || {
        client.write_all(REQUEST).unwrap();
        let mut read = 0;
        while !buffer[..read].ends_with(b"xxxx") {
            read += client.read(&mut buffer[read..]).unwrap();
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    };
    (0..100).for_each(|_| round());
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (0..ROUNDS).for_each(|_| round());
    let each = (ALLOCATIONS.load(Ordering::Relaxed) - before) as f64 / ROUNDS as f64;
    println!("{each} allocations per request");
    assert!(each <= 12.0, "{each} allocations per request");
}
