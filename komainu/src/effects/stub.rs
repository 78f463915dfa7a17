//! In the place of a leader or of an upstream: it remembers what it is asked, and says always the same, nothing, or what
//! another one says.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use e2e::process::until;

#[derive(Clone, Copy)]
pub(super) enum Says {
    Error,
    /// Until the other side has had enough.
    Nothing,
    /// What the server at this port says.
    As(u16),
}

pub(super) struct Stub {
    pub(super) port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    waited: Arc<Mutex<Vec<Duration>>>,
}

impl Stub {
    pub(super) fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stub = Self { port, heads: Arc::default(), waited: Arc::default() };
        let (heads, waited) = (stub.heads.clone(), stub.waited.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (heads, waited) = (heads.clone(), waited.clone());
                std::thread::spawn(move || serve(stream, says, &heads, &waited));
            }
        });
        stub
    }

    /// The first head that it was asked by which has this text, in lower case.
    pub(super) fn until_asked(&self, text: &str) -> String {
        let asked = || self.heads.lock().unwrap().iter().find(|head| head.contains(text)).cloned();
        until(&format!("it is asked {text:?}"), asked).0
    }

    /// How often it was asked by a head that has this text.
    pub(super) fn asked(&self, text: &str) -> usize {
        self.heads.lock().unwrap().iter().filter(|head| head.contains(text)).count()
    }

    /// How long it was waited for in vain, at first.
    pub(super) fn until_given_up(&self) -> Duration {
        until("it is given up", || self.waited.lock().unwrap().first().copied()).0
    }
}

fn serve(mut stream: TcpStream, says: Says, heads: &Mutex<Vec<String>>, waited: &Mutex<Vec<Duration>>) {
    let begun = Instant::now();
    let Some(head) = read_head(&mut stream) else { return };
    heads.lock().unwrap().push(String::from_utf8_lossy(&head).to_lowercase());
    match says {
        Says::Error => {
            let _ = stream.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
        Says::Nothing => {
            // It ends with the connection.
            let _ = stream.read(&mut [0; 1]);
            waited.lock().unwrap().push(begun.elapsed());
        }
        Says::As(port) => forward(stream, &head, port),
    }
}

fn forward(mut client: TcpStream, head: &[u8], port: u16) {
    let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
    server.write_all(head).unwrap();
    let (mut back, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut back, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut client, &mut server);
    let _ = server.shutdown(Shutdown::Both);
}

fn read_head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    Some(head)
}
