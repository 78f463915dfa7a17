use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use dataplane_snapshot::{Key, Kind, Object, wire};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_RSA_SHA256, RsaKeySize,
    date_time_ymd,
};
use rustls::client::{ClientConnection, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
};

use super::{Client, Observed, PATIENCE, Setup, message};

pub static ONLY_TLS12: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS12];
pub static ONLY_TLS13: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

pub type Provider = Arc<rustls::crypto::CryptoProvider>;

pub fn provider() -> Provider {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// An authority that signs certificates for tests.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
#[derive(Clone)]
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: Vec<u8>,
}

fn named(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// Itself as something to trust.
    pub fn identity(&self) -> Identity {
        Identity { chain: vec![self.certificate()], key: self.0.key().serialize_der() }
    }

    fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Identity {
        let certificate = params.signed_by(key, &self.0).unwrap();
        Identity { chain: vec![certificate.der().clone()], key: key.serialize_der() }
    }

    /// With a P-256 key.
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.sign(&named(names[0], names), &KeyPair::generate().unwrap())
    }

    pub fn issue_rsa(&self, names: &[&str]) -> Identity {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        self.sign(&named(names[0], names), &key)
    }

    pub fn issue_expired(&self, names: &[&str]) -> Identity {
        let mut params = named(names[0], names);
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        self.sign(&params, &KeyPair::generate().unwrap())
    }
}

impl Identity {
    /// Signed by itself; an authority or not.
    pub fn self_signed(names: &[&str], authority: bool) -> Self {
        let mut params = named(names[0], names);
        if authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = KeyPair::generate().unwrap();
        Self { chain: vec![params.self_signed(&key).unwrap().der().clone()], key: key.serialize_der() }
    }

    /// The key of the certificate `name` on the wire.
    pub fn key_of(name: &str) -> String {
        Key::new(Kind::Certificate, "default", name).to_string()
    }

    pub fn objects(&self, name: &str) -> [Object; 2] {
        let chain = self.chain.iter().map(|der| Bytes::copy_from_slice(der)).collect();
        let certificate = wire::Payload::Certificate(wire::Certificate { chain });
        let kind = Some(wire::SecretKind::PrivateKey(self.key.clone().into()));
        let secret = wire::Payload::Secret(wire::Secret { kind });
        let object =
            |kind, payload| Object::encode(Key::new(kind, "default", name), &wire::Content::from(payload));
        [object(Kind::Certificate, certificate), object(Kind::Secret, secret)]
    }

    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.clone()).unwrap()
    }
}

/// The listener "http" of `setup` speaks TLS with `certificates`.
pub fn listening(mut setup: Setup, certificates: &[(&'static str, &Identity)]) -> Setup {
    let names = certificates.iter().map(|(name, _)| Identity::key_of(name)).collect();
    let listener = &mut setup.listeners[0].1;
    listener.protocol = wire::ListenerProtocol::Https as i32;
    listener.tls = Some(wire::ListenerTls { certificates: names, ..Default::default() });
    for (name, identity) in certificates {
        setup.certificates.push((name, (*identity).clone()));
    }
    setup
}

/// Clients have to bring, or may bring, a certificate of `authority`.
pub fn asking(
    mut setup: Setup,
    asked: wire::ClientCertificates,
    authority: &Authority,
    forward: bool,
) -> Setup {
    let tls = setup.listeners[0].1.tls.as_mut().unwrap();
    tls.client_certificates = asked as i32;
    tls.client_authorities = vec![Identity::key_of("clients")];
    tls.forward_client_certificate = forward;
    setup.certificates.push(("clients", authority.identity()));
    setup
}

/// What a client of a test trusts, brings and speaks.
pub struct ClientSettings {
    pub versions: &'static [&'static SupportedProtocolVersion],
    pub own: Option<Identity>,
    pub alpn: Vec<Vec<u8>>,
    pub provider: Provider,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self { versions: rustls::ALL_VERSIONS, own: None, alpn: Vec::new(), provider: provider() }
    }
}

/// A configuration keeps sessions, so that connections with the same one resume.
pub fn client_config(authority: &Authority, settings: ClientSettings) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate()).unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), settings.provider.clone())
        .build()
        .unwrap();
    let config = ClientConfig::builder_with_provider(settings.provider)
        .with_protocol_versions(settings.versions)
        .unwrap()
        .with_webpki_verifier(verifier);
    let mut config = match settings.own {
        None => config.with_no_client_auth(),
        Some(own) => config.with_client_auth_cert(own.chain.clone(), own.key()).unwrap(),
    };
    config.alpn_protocols = settings.alpn;
    Arc::new(config)
}

pub type TlsClient = Client<StreamOwned<ClientConnection, TcpStream>>;

/// Connects and shakes hands; an error says why that failed. Since TLS 1.3 a server may refuse later.
pub fn try_connect(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> std::io::Result<TlsClient> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut session = ClientConnection::new(config.clone(), name).map_err(std::io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    Ok(Client::over(StreamOwned::new(session, socket)))
}

pub fn connect(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> TlsClient {
    try_connect(address, name, config).unwrap()
}

impl TlsClient {
    pub fn leaf(&mut self) -> CertificateDer<'static> {
        self.stream().conn.peer_certificates().unwrap()[0].clone()
    }

    pub fn is_resumed(&mut self) -> bool {
        self.stream().conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub fn version(&mut self) -> ProtocolVersion {
        self.stream().conn.protocol_version().unwrap()
    }
}

/// A server inside TLS that answers every request with 200 and remembers what it was told.
pub type TlsUpstream = Observed<Seen>;

#[derive(Clone, Default)]
pub struct Seen {
    pub names: Vec<Option<String>>,
    pub handshakes: Vec<HandshakeKind>,
    pub alpn: Vec<Option<Vec<u8>>>,
    /// How many certificates each client brought.
    pub clients: Vec<usize>,
    pub requests: Vec<String>,
}

/// How a [`TlsUpstream`] speaks.
pub struct ServerSettings {
    pub versions: &'static [&'static SupportedProtocolVersion],
    /// Clients have to bring a certificate of this one.
    pub clients: Option<CertificateDer<'static>>,
    /// Closes, with close_notify, after each answer.
    pub closes: bool,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self { versions: rustls::ALL_VERSIONS, clients: None, closes: false }
    }
}

impl TlsUpstream {
    pub fn start(identity: &Identity, settings: ServerSettings) -> Self {
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(settings.versions)
            .unwrap();
        let config = match settings.clients {
            None => config.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
                config.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let mut config = config.with_single_cert(identity.chain.clone(), identity.key()).unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let (config, closes) = (Arc::new(config), settings.closes);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = seen.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (config, seen) = (config.clone(), shared.clone());
                // What fails here is what the test is about.
                std::thread::spawn(move || serve(socket.unwrap(), config, closes, &seen));
            }
        });
        Self::new(address, seen)
    }
}

fn serve(
    mut socket: TcpStream,
    config: Arc<ServerConfig>,
    closes: bool,
    seen: &Mutex<Seen>,
) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut session = ServerConnection::new(config).map_err(std::io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    {
        let mut seen = seen.lock().unwrap();
        seen.names.push(session.server_name().map(str::to_owned));
        seen.handshakes.push(session.handshake_kind().unwrap());
        seen.alpn.push(session.alpn_protocol().map(<[u8]>::to_vec));
        seen.clients.push(session.peer_certificates().map_or(0, <[_]>::len));
    }
    let mut stream = StreamOwned::new(session, socket);
    let mut received = Vec::new();
    loop {
        if let Some((head, _)) = message(&mut received, false) {
            seen.lock().unwrap().requests.push(head);
            stream.conn.writer().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
            if closes {
                // In one piece, so that whoever has read the answer can know.
                stream.conn.send_close_notify();
                return stream.flush();
            }
            stream.flush()?;
        }
        let mut buffer = [0; 16 * 1024];
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        received.extend_from_slice(&buffer[..read]);
    }
}

/// The target speaks TLS. It is asked for at its address, under the name `name`.
pub fn targeting(mut setup: Setup, name: &str, tls: wire::TargetTls) -> Setup {
    let target = &mut setup.endpoints.targets[0];
    target.ip_address = std::mem::replace(&mut target.hostname, name.to_owned());
    target.tls = Some(tls);
    setup
}

/// Trusts the certificate of this name.
pub fn trusting(name: &str) -> wire::TargetTls {
    wire::TargetTls { trusted: vec![Identity::key_of(name)], ..Default::default() }
}
