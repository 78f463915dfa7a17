use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Observed, PATIENCE, message};

/// A server that does what a test says and remembers every byte that it got.
pub type Upstream = Observed<Seen>;

#[derive(Default, Clone)]
pub struct Seen {
    pub connections: usize,
    pub bytes: Vec<u8>,
    pub requests: Vec<(String, Vec<u8>)>,
    /// Connections whose client has closed.
    pub closed: usize,
}

/// One connection of the proxy to an [`Upstream`].
pub struct Accepted {
    pub stream: TcpStream,
    /// 0 for the first connection.
    pub index: usize,
    received: Vec<u8>,
    pub seen: Arc<Mutex<Seen>>,
}

impl Upstream {
    /// Runs `script` for each connection, in a thread of its own.
    pub fn start(script: impl Fn(&mut Accepted) + Send + Sync + 'static) -> Self {
        Self::on("127.0.0.1:0".parse().unwrap(), script)
    }

    pub fn on(address: SocketAddr, script: impl Fn(&mut Accepted) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (shared, script) = (seen.clone(), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(PATIENCE * 3)).unwrap();
                stream.set_nodelay(true).unwrap();
                let index = {
                    let mut seen = shared.lock().unwrap();
                    seen.connections += 1;
                    seen.connections - 1
                };
                let mut accepted = Accepted { stream, index, received: Vec::new(), seen: shared.clone() };
                let script = script.clone();
                std::thread::spawn(move || script(&mut accepted));
            }
        });
        Self::new(address, seen)
    }

    /// Gives the same answer to every request.
    pub fn answering(response: &'static str) -> Self {
        Self::start(move |accepted| {
            while accepted.request().is_some() {
                accepted.send(response);
            }
        })
    }

    /// Says 200 with `ok`.
    pub fn ok() -> Self {
        Self::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    }

    /// The head of the last request.
    pub fn last(&self) -> String {
        self.seen().requests.last().expect("a request came").0.clone()
    }
}

impl Accepted {
    /// Reads once; `false` at the end.
    pub fn read(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) | Err(_) => {
                self.seen.lock().unwrap().closed += 1;
                false
            }
            Ok(read) => {
                self.received.extend_from_slice(&buffer[..read]);
                self.seen.lock().unwrap().bytes.extend_from_slice(&buffer[..read]);
                true
            }
        }
    }

    /// Sends no more: the proxy reads the end of the connection.
    pub fn finish(&mut self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// The next whole request; `None` when the proxy closes.
    pub fn request(&mut self) -> Option<(String, Vec<u8>)> {
        loop {
            if let Some(request) = message(&mut self.received, false) {
                self.seen.lock().unwrap().requests.push(request.clone());
                return Some(request);
            }
            if !self.read() {
                return None;
            }
        }
    }

    /// Reads the head of a request only.
    pub fn head(&mut self) -> Option<String> {
        loop {
            if let Some((head, _)) = message(&mut self.received, true) {
                self.seen.lock().unwrap().requests.push((head.clone(), Vec::new()));
                return Some(head);
            }
            if !self.read() {
                return None;
            }
        }
    }

    /// What was read and not taken.
    pub fn received(&mut self) -> &mut Vec<u8> {
        &mut self.received
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The proxy may have gone, which is what some tests are about.
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Sends back whatever comes, until the proxy closes.
    pub fn echo(&mut self) {
        loop {
            let bytes = std::mem::take(&mut self.received);
            self.send(bytes);
            if !self.read() {
                return;
            }
        }
    }

    /// Reads until the proxy closes.
    pub fn drain(&mut self) {
        while self.read() {}
    }

    pub fn pause(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}
