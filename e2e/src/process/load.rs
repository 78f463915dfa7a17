use std::io::{BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::http;
use crate::cluster::Space;

/// Steady requests on keep-alive connections until it is stopped. Anything but the expected status is a failure.
pub struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

/// What a [`Load`] saw.
#[derive(Debug)]
pub struct LoadReport {
    pub requests: u64,
    /// One sentence per failed request, at most a few kept.
    pub failures: Vec<String>,
}

impl Load {
    /// `connections` clients that ask for `paths` by turns on `port`, each waiting `pause` between two requests.
    pub fn start(port: u16, paths: &[&str], connections: usize, pause: Duration) -> Self {
        Self::of("GET", Site::here(port), paths, connections, pause)
    }

    /// The same from another network, of a server there.
    pub fn within(
        space: Space,
        address: SocketAddr,
        paths: &[&str],
        connections: usize,
        pause: Duration,
    ) -> Self {
        Self::of("GET", Site { space: Some(space), address }, paths, connections, pause)
    }

    /// The same with POST and a small body.
    pub fn posts(port: u16, paths: &[&str], connections: usize, pause: Duration) -> Self {
        Self::of("POST", Site::here(port), paths, connections, pause)
    }

    fn of(method: &'static str, site: Site, paths: &[&str], connections: usize, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let served = Arc::new(AtomicU64::new(0));
        let paths: Arc<Vec<String>> = Arc::new(paths.iter().map(ToString::to_string).collect());
        let client = |number| {
            let (stop, served, paths) = (stop.clone(), served.clone(), paths.clone());
            std::thread::spawn(move || {
                run(Requests { method, site, paths: &paths, pause }, number, &stop, &served)
            })
        };
        let threads = (0..connections).map(client).collect();
        Self { stop, served, threads }
    }

    /// Requests answered as expected so far.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    pub fn stop(mut self) -> LoadReport {
        self.stop.store(true, Ordering::Relaxed);
        let failures =
            self.threads.drain(..).flat_map(|thread| thread.join().expect("a client thread")).collect();
        LoadReport { requests: self.served(), failures }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Where clients are, and whom they call.
#[derive(Clone, Copy)]
struct Site {
    /// `None`: in the network of this process.
    space: Option<Space>,
    address: SocketAddr,
}

impl Site {
    fn here(port: u16) -> Self {
        Self { space: None, address: (Ipv4Addr::LOCALHOST, port).into() }
    }
}

/// What a client asks for.
#[derive(Clone, Copy)]
struct Requests<'a> {
    method: &'static str,
    site: Site,
    paths: &'a [String],
    pause: Duration,
}

fn run(requests: Requests<'_>, number: usize, stop: &AtomicBool, served: &AtomicU64) -> Vec<String> {
    let Requests { method, site, paths, pause } = requests;
    if let Some(space) = site.space {
        space.enter().expect("a thread of its own may go into another network");
    }
    let mut failures = Vec::new();
    let mut connection = None;
    for path in paths.iter().cycle().skip(number) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match exchange(&mut connection, method, site.address, path) {
            Ok(200) => {
                served.fetch_add(1, Ordering::Relaxed);
            }
            Ok(status) => failures.push(format!("{path}: {status}")),
            Err(error) => {
                connection = None;
                failures.push(format!("{path}: {error}"));
            }
        }
        if failures.len() > 20 {
            break;
        }
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
    failures
}

type Connection = BufReader<std::net::TcpStream>;

fn exchange(
    connection: &mut Option<Connection>,
    method: &str,
    address: SocketAddr,
    path: &str,
) -> std::io::Result<u16> {
    let stream = match connection {
        Some(stream) => stream,
        None => connection.insert(BufReader::new(http::connect_to(address)?)),
    };
    let body = if method == "POST" { "content-length: 2\r\n\r\nhi" } else { "\r\n" };
    let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{body}");
    stream.get_mut().write_all(request.as_bytes())?;
    let response = http::read_response(stream)?;
    if response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
        *connection = None;
    }
    Ok(response.status)
}
