use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};

use super::eventually;

/// A DNS server that says what a test says, over UDP and TCP, and remembers what it was asked.
pub struct Dns {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Clone)]
pub enum Says {
    /// With a time to live in seconds.
    Addresses(u32, Vec<IpAddr>),
    /// The same, but by UDP only that it is too long for it.
    Long(u32, Vec<IpAddr>),
    /// Those of the first kind, and a failure for the other.
    OnlyV4(u32, Vec<IpAddr>),
    NoSuchName,
    Failure,
    Nothing,
}

#[derive(Default)]
struct State {
    zone: HashMap<String, Says>,
    questions: Vec<Question>,
    /// What names begin with that nothing is said about.
    silent: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub name: String,
    pub v6: bool,
    pub tcp: bool,
}

/// The kinds of addresses, as the protocol numbers them.
const A: u8 = 1;
const AAAA: u8 = 28;

impl Dns {
    pub fn start() -> Self {
        // UDP and TCP on one port, which may be taken for the other.
        let (udp, tcp) = eventually(|| {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            TcpListener::bind(udp.local_addr().unwrap()).ok().map(|tcp| (udp, tcp))
        });
        let (address, state) = (udp.local_addr().unwrap(), Arc::<Mutex<State>>::default());
        let shared = state.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((len, client)) = udp.recv_from(&mut buffer) {
                if let Some(answer) = answer(&shared, &buffer[..len], false) {
                    let _ = udp.send_to(&answer, client);
                }
            }
        });
        let shared = state.clone();
        std::thread::spawn(move || {
            for mut stream in tcp.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || {
                    let mut length = [0; 2];
                    while stream.read_exact(&mut length).is_ok() {
                        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                        stream.read_exact(&mut question).unwrap();
                        let Some(answer) = answer(&shared, &question, true) else { continue };
                        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
                        let _ = stream.write_all(&[&length, &*answer].concat());
                    }
                });
            }
        });
        Self { address, state }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn says(&self, name: &str, says: Says) {
        self.state.lock().unwrap().zone.insert(name.to_owned(), says);
    }

    /// Addresses that are looked up again as soon as the proxy does that at all.
    pub fn leads(&self, name: &str, ips: &[&str]) {
        self.says(name, Says::Addresses(0, ips.iter().map(|ip| ip.parse().unwrap()).collect()));
    }

    /// Says nothing any more about names that begin like this. Returns how many questions came before.
    pub fn silence(&self, prefix: &str) -> usize {
        let mut state = self.state.lock().unwrap();
        state.silent = Some(prefix.to_owned());
        state.questions.len()
    }

    pub fn questions(&self) -> Vec<Question> {
        self.state.lock().unwrap().questions.clone()
    }

    /// How often the addresses of `name` were asked for.
    pub fn asked(&self, name: &str) -> usize {
        self.questions().iter().filter(|question| question.name == name && !question.v6).count()
    }
}

/// `None`: nothing is said.
fn answer(state: &Mutex<State>, message: &[u8], tcp: bool) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    while message[at] > 0 {
        let end = at + 1 + usize::from(message[at]);
        labels.push(String::from_utf8_lossy(&message[at + 1..end]).to_lowercase());
        at = end;
    }
    let (name, kind, end) = (labels.join("."), message[at + 2], at + 5);
    let says = {
        let mut state = state.lock().unwrap();
        state.questions.push(Question { name: name.clone(), v6: kind == AAAA, tcp });
        if state.silent.as_ref().is_some_and(|prefix| name.starts_with(prefix)) {
            return None;
        }
        state.zone.get(&name).cloned().unwrap_or(Says::NoSuchName)
    };
    let (ttl, ips, truncated, code) = match says {
        Says::Addresses(ttl, ips) => (ttl, ips, false, 0),
        Says::Long(ttl, ips) => (ttl, if tcp { ips } else { Vec::new() }, !tcp, 0),
        Says::OnlyV4(ttl, ips) if kind == A => (ttl, ips, false, 0),
        Says::OnlyV4(..) | Says::Failure => (0, Vec::new(), false, 2),
        Says::NoSuchName => (0, Vec::new(), false, 3),
        Says::Nothing => return None,
    };
    let of_kind: Vec<_> = ips.into_iter().filter(|ip| ip.is_ipv6() == (kind == AAAA)).collect();
    let mut out = message[..2].to_vec();
    // A response, recursion desired and available.
    out.extend([0x81 | if truncated { 2 } else { 0 }, 0x80 | code, 0, 1]);
    out.extend(u16::try_from(of_kind.len()).unwrap().to_be_bytes());
    out.extend([0; 4]);
    out.extend(&message[12..end]);
    for ip in of_kind {
        // The name of the question, the kind, Internet.
        out.extend([0xc0, 12, 0, kind, 0, 1]);
        out.extend(ttl.to_be_bytes());
        match ip {
            IpAddr::V4(ip) => out.extend([&[0, 4][..], &ip.octets()].concat()),
            IpAddr::V6(ip) => out.extend([&[0, 16][..], &ip.octets()].concat()),
        }
    }
    Some(out)
}
