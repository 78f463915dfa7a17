//! Forward proxies that speak TLS. What the system trusts is read once per process, so this test starts itself again, where
//! the system trusts an authority of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what fails here fails the test"
)]

mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dataplane_core::health::Colour;
use dataplane_snapshot::wire::{self, ProxyProtocol};
use rustls::pki_types::CertificateDer;
use support::forward_proxy::{ForwardProxy, Settings, showing, through};
use support::tls::{Authority, Identity, ServerSettings, TlsUpstream, targeting, trusting};
use support::{Http2Upstream, Setup, Upstream, eventually};

const NAME: &str = "users.internal.test";
/// Where the second process finds what the proxy shows.
const FOLDER: &str = "KOMAINU_TEST_FORWARD_PROXY";

fn setup(upstream: SocketAddr, proxy: &ForwardProxy) -> Setup {
    let mut setup = through(Setup::new(upstream), ProxyProtocol::Https, proxy.address());
    setup.endpoints.targets[0].hostname = NAME.into();
    setup.client(|client| client.proxy.as_mut().unwrap().host = "localhost".into())
}

#[test]
fn a_proxy_is_spoken_to_inside_tls() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return everything(&PathBuf::from(folder));
    }
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("the system's"));
    let text = STANDARD.encode(authority.certificate());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    let shown = authority.issue(&["localhost"]);
    let trusted = folder.path().join("trusted.pem");
    std::fs::write(&trusted, pem).unwrap();
    std::fs::write(folder.path().join("certificate"), &*shown.chain[0]).unwrap();
    std::fs::write(folder.path().join("key"), &shown.key).unwrap();
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_proxy_is_spoken_to_inside_tls", "--nocapture"])
        .env(FOLDER, folder.path())
        .env("SSL_CERT_FILE", &trusted)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

fn everything(folder: &Path) {
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let shown = Identity { chain: vec![CertificateDer::from(read("certificate"))], key: read("key") };
    let start =
        |settings: Settings| ForwardProxy::start(Settings { identity: Some(shown.clone()), ..settings });
    clear_text(&start(Settings { credentials: Some(("anna", "hunter2")), ..Settings::default() }));
    tls_in_tls(&start(Settings::default()));
    http_2(&start(Settings { split: true, ..Settings::default() }));
    health(&start(Settings::default()));
    a_stranger_is_refused();
}

fn clear_text(proxy: &ForwardProxy) {
    let upstream = Upstream::ok();
    let gateway = showing(setup(upstream.address(), proxy), "anna", "hunter2").start();
    let mut client = gateway.client();
    assert_eq!([client.get("/").text(), client.get("/").text()], ["ok", "ok"]);
    assert_eq!((proxy.seen().connections, upstream.seen().connections), (1, 1));
    let large = "x".repeat(300_000);
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{large}", large.len()));
    assert_eq!(client.answer().status, 200);
    assert!(upstream.seen().requests[2].1 == large.as_bytes());
}

fn tls_in_tls(proxy: &ForwardProxy) {
    let authority = Authority::new("the target's");
    let upstream = TlsUpstream::start(&authority.issue(&[NAME]), ServerSettings::default());
    let mut setup = targeting(setup(upstream.address(), proxy), NAME, trusting("ca"));
    setup.endpoints.targets[0].ip_address = String::new();
    setup.certificates.push(("ca", authority.identity()));
    let gateway = setup.start();
    let mut client = gateway.client();
    assert_eq!([client.get("/secret").status, client.get("/secret").status], [200, 200]);
    assert_eq!(upstream.seen().names, [Some(NAME.to_owned())]);
    let passed = proxy.seen().passed;
    assert_eq!(passed.first(), Some(&22), "a record with a handshake");
    assert!(!String::from_utf8_lossy(&passed).contains("/secret"));
}

fn http_2(proxy: &ForwardProxy) {
    let upstream = Http2Upstream::start(|asked| async { asked.answer("ok") });
    let gateway = setup(upstream.address(), proxy).http2().start();
    let mut client = gateway.client();
    assert_eq!([client.get("/").status, client.get("/").status], [200, 200]);
    let seen = upstream.seen();
    assert_eq!((seen.connections, seen.requests[0].uri().scheme_str()), (1, Some("http")));
}

fn health(proxy: &ForwardProxy) {
    let upstream = Upstream::ok();
    let mut setup = setup(upstream.address(), proxy);
    let check =
        wire::HealthCheck { url: "/health".into(), interval: 20, timeout: 2_000, ..Default::default() };
    setup.backend.health_check = Some(check.into());
    let gateway = setup.start();
    eventually(|| gateway.proxy.health().into_iter().find(|health| health.colour == Colour::Green));
}

fn a_stranger_is_refused() {
    let stranger = Authority::new("somebody else's").issue(&["localhost"]);
    let proxy = ForwardProxy::start(Settings { identity: Some(stranger), ..Settings::default() });
    let upstream = Upstream::ok();
    let gateway = setup(upstream.address(), &proxy).start();
    let answer = gateway.client().get("/");
    assert_eq!((answer.status, &*answer.reason()), (502, "proxy_unreachable"));
    assert!(
        answer.text().contains("the forward proxy: TLS with localhost: its certificate"),
        "{}",
        answer.text()
    );
    assert_eq!((proxy.seen().heads.len(), upstream.seen().connections), (0, 0));
}
