use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dataplane_snapshot::wire;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::tls::{Identity, provider};
use super::{Observed, PATIENCE, Setup};

/// A forward proxy by CONNECT or SOCKS5 that remembers what it was told. Every name leads to 127.0.0.1.
pub type ForwardProxy = Observed<Seen>;

#[derive(Clone, Default)]
pub struct Seen {
    pub connections: usize,
    /// The heads of CONNECT.
    pub heads: Vec<String>,
    /// Where it was asked to lead, as host and port.
    pub places: Vec<String>,
    /// Bytes that went to targets.
    pub passed: Vec<u8>,
    /// The principals that SOCKS5 clients gave with their right or wrong passwords.
    pub principals: Vec<String>,
}

/// How a [`ForwardProxy`] speaks.
#[derive(Clone)]
pub struct Settings {
    pub socks: bool,
    /// What it wants to be shown.
    pub credentials: Option<(&'static str, &'static str)>,
    /// It speaks TLS.
    pub identity: Option<Identity>,
    /// It answers one byte at a time.
    pub split: bool,
    /// Its answer comes together with the first bytes of the target.
    pub joined: bool,
    /// To a good CONNECT. Only 200 leads to the target.
    pub answer: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            socks: false,
            credentials: None,
            identity: None,
            split: false,
            joined: false,
            answer: "HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n",
        }
    }
}

trait Io: Read + Write {}
impl<T: Read + Write> Io for T {}

/// One client of the proxy.
struct Served {
    io: Box<dyn Io>,
    socket: TcpStream,
    settings: Settings,
    seen: Arc<Mutex<Seen>>,
}

impl ForwardProxy {
    pub fn start(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let shared = seen.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                shared.lock().unwrap().connections += 1;
                let (settings, seen) = (settings.clone(), shared.clone());
                // What fails here is what the test is about.
                std::thread::spawn(move || Served::new(socket.unwrap(), settings, seen)?.run());
            }
        });
        Self::new(address, seen)
    }

    pub fn http() -> Self {
        Self::start(Settings::default())
    }

    pub fn socks() -> Self {
        Self::start(Settings { socks: true, ..Settings::default() })
    }
}

impl Served {
    fn new(mut socket: TcpStream, settings: Settings, seen: Arc<Mutex<Seen>>) -> std::io::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let own = socket.try_clone()?;
        let io: Box<dyn Io> = match &settings.identity {
            None => Box::new(socket),
            Some(identity) => {
                let config = ServerConfig::builder_with_provider(provider())
                    .with_safe_default_protocol_versions()
                    .unwrap()
                    .with_no_client_auth()
                    .with_single_cert(identity.chain.clone(), identity.key())
                    .unwrap();
                let mut session = ServerConnection::new(Arc::new(config)).map_err(std::io::Error::other)?;
                while session.is_handshaking() {
                    session.complete_io(&mut socket)?;
                }
                Box::new(StreamOwned::new(session, socket))
            }
        };
        Ok(Self { io, socket: own, settings, seen })
    }

    fn run(mut self) -> std::io::Result<()> {
        let place = if self.settings.socks { self.socks()? } else { self.connect()? };
        let Some(place) = place else { return Ok(()) };
        let (_, port) = place.rsplit_once(':').unwrap();
        let target = TcpStream::connect(("127.0.0.1", port.parse().unwrap()));
        let Ok(mut target) = target else {
            let refused: &[u8] = &[5, 5, 0, 1, 0, 0, 0, 0, 0, 0];
            return self.answer(if self.settings.socks { refused } else { b"HTTP/1.1 502 No\r\n\r\n" });
        };
        let mut answer = match self.settings.socks {
            true => vec![5, 0, 0, 3, 4, b'h', b'e', b'r', b'e', 0, 9],
            false => self.settings.answer.into(),
        };
        if self.settings.joined {
            let mut first = [0; 1024];
            let read = target.read(&mut first)?;
            answer.extend_from_slice(&first[..read]);
        }
        self.answer(&answer)?;
        self.relay(target)
    }

    fn answer(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let size = if self.settings.split { 1 } else { bytes.len() };
        for piece in bytes.chunks(size.max(1)) {
            self.io.write_all(piece)?;
            self.io.flush()?;
        }
        Ok(())
    }

    /// `None`: it doesn't lead anywhere.
    fn connect(&mut self) -> std::io::Result<Option<String>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let [byte] = self.read()?;
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let place = head.split(' ').nth(1).unwrap().to_owned();
        self.seen.lock().unwrap().heads.push(head.clone());
        if let Some((principal, password)) = self.settings.credentials {
            use base64::Engine as _;
            let token = base64::engine::general_purpose::STANDARD.encode(format!("{principal}:{password}"));
            if super::field(&head, "proxy-authorization") != Some(&format!("Basic {token}")) {
                self.answer(b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n")?;
                return Ok(None);
            }
        }
        self.seen.lock().unwrap().places.push(place.clone());
        let leads = self.settings.answer.contains(" 200");
        if !leads {
            self.answer(self.settings.answer.as_bytes())?;
        }
        Ok(leads.then_some(place))
    }

    fn socks(&mut self) -> std::io::Result<Option<String>> {
        let [_, count] = self.read()?;
        let mut methods = vec![0; usize::from(count)];
        self.io.read_exact(&mut methods)?;
        let wanted = if self.settings.credentials.is_some() { 2 } else { 0 };
        if !methods.contains(&wanted) {
            self.answer(&[5, 255])?;
            return Ok(None);
        }
        self.answer(&[5, wanted])?;
        if let Some((principal, password)) = self.settings.credentials {
            let [_] = self.read()?;
            let (named, shown) = (self.text()?, self.text()?);
            let good = (&*named, &*shown) == (principal, password);
            self.seen.lock().unwrap().principals.push(named);
            self.answer(&[1, u8::from(!good)])?;
            if !good {
                return Ok(None);
            }
        }
        let [_, _, _, kind] = self.read()?;
        let host = match kind {
            1 => std::net::Ipv4Addr::from(self.read::<4>()?).to_string(),
            4 => std::net::Ipv6Addr::from(self.read::<16>()?).to_string(),
            _ => self.text()?,
        };
        let place = format!("{host}:{}", u16::from_be_bytes(self.read()?));
        self.seen.lock().unwrap().places.push(place.clone());
        Ok(Some(place))
    }

    fn read<const N: usize>(&mut self) -> std::io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.io.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// With its length in front.
    fn text(&mut self) -> std::io::Result<String> {
        let [len] = self.read()?;
        let mut text = vec![0; usize::from(len)];
        self.io.read_exact(&mut text)?;
        Ok(String::from_utf8(text).unwrap())
    }

    /// Moves bytes both ways until one side ends.
    fn relay(mut self, mut target: TcpStream) -> std::io::Result<()> {
        for socket in [&self.socket, &target] {
            socket.set_read_timeout(Some(Duration::from_millis(1)))?;
        }
        target.set_nodelay(true)?;
        let seen = self.seen.clone();
        let up = |bytes: &[u8]| seen.lock().unwrap().passed.extend_from_slice(bytes);
        while step(&mut self.io, &mut target, up)? && step(&mut target, &mut self.io, |_| ())? {}
        self.socket.shutdown(Shutdown::Both)
    }
}

/// `false`: the end.
fn step(from: &mut impl Read, to: &mut impl Write, note: impl Fn(&[u8])) -> std::io::Result<bool> {
    let mut buffer = [0; 64 * 1024];
    match from.read(&mut buffer) {
        Ok(0) => Ok(false),
        Ok(read) => {
            note(&buffer[..read]);
            to.write_all(&buffer[..read])?;
            to.flush()?;
            Ok(true)
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(true),
        Err(error) => Err(error),
    }
}

/// The backend's targets are reached through the proxy at `address`.
pub fn through(setup: Setup, protocol: wire::ProxyProtocol, address: SocketAddr) -> Setup {
    let proxy = wire::ForwardProxy {
        host: address.ip().to_string(),
        port: address.port().into(),
        protocol: protocol.into(),
        ..Default::default()
    };
    setup.client(|client| client.proxy = Some(Box::new(proxy)))
}

/// Shows the proxy this principal and this password.
pub fn showing(setup: Setup, principal: &str, password: &'static str) -> Setup {
    let mut setup = setup.client(|client| {
        let proxy = client.proxy.as_mut().unwrap();
        proxy.principal = principal.into();
        proxy.password = "secret/default/users~proxy".into();
    });
    setup.password = Some(password);
    setup
}
