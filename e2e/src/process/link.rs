use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::free_port;

/// What a link does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Passes everything on.
    None,
    /// New connections are reset, open ones too: what a killed process looks like.
    Dead,
    /// Connections are accepted and nothing comes back.
    Stalled,
    /// What comes back is this late.
    Slow(Duration),
}

/// A relay between the gateway and a target, whose faults a test chooses.
pub struct Link {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    fault: Fault,
    /// Both ends of each open connection, to cut them.
    open: Vec<TcpStream>,
    /// When the gateway last sent something that is no health check.
    last_request: Option<Instant>,
}

impl Link {
    /// A link to `target` on a port of its own.
    pub fn to(target: u16) -> Self {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the link's port");
        let state = Arc::new(Mutex::new(State { fault: Fault::None, open: Vec::new(), last_request: None }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                std::thread::spawn(move || serve(&client, target, &shared));
            }
        });
        Self { port, state }
    }

    pub fn set(&self, fault: Fault) {
        let mut state = lock(&self.state);
        state.fault = fault;
        if fault == Fault::Dead {
            state.open.drain(..).for_each(|stream| reset(&stream));
        }
    }

    /// When a request, or a piece of one, last came here; health checks to `/health` don't count.
    pub fn last_request(&self) -> Option<Instant> {
        lock(&self.state).last_request
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn reset(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

fn serve(client: &TcpStream, target: u16, state: &Mutex<State>) {
    let upstream = {
        let mut state = lock(state);
        if state.fault == Fault::Dead {
            return reset(client);
        }
        let Ok(upstream) = TcpStream::connect(("127.0.0.1", target)) else { return reset(client) };
        let _ = upstream.set_nodelay(true);
        let _ = client.set_nodelay(true);
        state.open.extend([client, &upstream].into_iter().filter_map(|stream| stream.try_clone().ok()));
        upstream
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            copy(client, &upstream, |piece| {
                if !piece.starts_with(b"GET /health") {
                    lock(state).last_request = Some(Instant::now());
                }
                Some(Duration::ZERO)
            });
        });
        copy(&upstream, client, |_| match lock(state).fault {
            Fault::Slow(delay) => Some(delay),
            Fault::Stalled | Fault::Dead => None,
            Fault::None => Some(Duration::ZERO),
        });
    });
}

/// Copies until one side ends; `delay` says how late, or `None` for not at all as long as it says so.
fn copy(mut from: &TcpStream, mut to: &TcpStream, delay: impl Fn(&[u8]) -> Option<Duration>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length) = from.read(&mut buffer) {
        if length == 0 {
            break;
        }
        // The fault itself: this time is what the gateway is to see.
        let late = loop {
            match delay(&buffer[..length]) {
                Some(late) => break late,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
            if to.take_error().is_err() || to.peer_addr().is_err() {
                return;
            }
        };
        std::thread::sleep(late);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
