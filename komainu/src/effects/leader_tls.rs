//! TLS between leader and worker.

use std::path::Path;

use e2e::process::until;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::node::{Node, near, write};
use crate::settings::Mode;

/// Writes an authority `NAME-ca.crt`, and a certificate of it for this machine, `NAME.crt` with `NAME.key`.
fn issue(folder: &Path, name: &str) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority);
    std::fs::write(folder.join(format!("{name}-ca.crt")), authority.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.crt")), own.unwrap().pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

/// A leader with the certificate `leader`, and a folder that has it and the others.
fn leader(set: &[&str]) -> Node {
    let folder = tempfile::tempdir().unwrap();
    for name in ["leader", "other", "worker"] {
        issue(folder.path(), name);
    }
    let resources = write(folder.path(), "resources", &near("/a", 1));
    let at = |key: &str, file: &str| format!("{key}={}", folder.path().join(file).display());
    let own = [
        format!("resources={resources}"),
        at("admin.tls.certificate", "leader.crt"),
        at("admin.tls.key", "leader.key"),
    ];
    let set: Vec<_> =
        set.iter().map(|set| set.replace("FOLDER", &folder.path().display().to_string())).collect();
    let all: Vec<_> = own.iter().chain(&set).map(String::as_str).collect();
    let leader = Node::start_in(folder, Mode::Leader, &all);
    until("it listens", || std::net::TcpStream::connect(("127.0.0.1", leader.admin)).ok());
    leader
}

/// A worker of it, by https.
fn worker(leader: &Node, set: &[&str]) -> Node {
    let folder = leader.folder.path().display().to_string();
    let url = [format!("cluster.leader.urls.0=https://127.0.0.1:{}", leader.admin)];
    let set: Vec<_> = set.iter().map(|set| set.replace("FOLDER", &folder)).collect();
    let all: Vec<_> = url.iter().chain(&set).map(String::as_str).collect();
    Node::start(Mode::Worker, &all)
}

const ENABLED: &str = "cluster.mtls.enabled=true";
const TRUSTED: &str = "cluster.mtls.trustedCerts.0=FOLDER/leader-ca.crt";

/// Both the leader's certificate and what a worker trusts decide.
#[test]
fn a_leader_shows_its_certificate_and_is_trusted_by_the_settings() {
    let leader = leader(&[]);
    let _trusts = worker(&leader, &[ENABLED, TRUSTED]).ready();
    let _takes_any = worker(&leader, &[ENABLED, "cluster.mtls.trustAll=true"]).ready();
    for set in [
        &[TRUSTED, "cluster.mtls.enabled=false"][..],
        &[ENABLED, "cluster.mtls.trustedCerts.0=FOLDER/other-ca.crt"],
        &[ENABLED, "cluster.mtls.trustAll=true", "cluster.mtls.loose=true"],
    ] {
        worker(&leader, set).until_says("certificate");
    }
}

#[test]
fn with_authorities_a_leader_knows_workers_by_their_certificates() {
    let leader = leader(&["admin.tls.clientAuthorities=FOLDER/worker-ca.crt"]);
    let own = "cluster.mtls.certs.0=FOLDER/worker.crt";
    let _known = worker(&leader, &[ENABLED, TRUSTED, own]).ready();
    worker(&leader, &[ENABLED, TRUSTED]).until_says("certificate");
}
