use std::fs;
use std::path::Path;

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

/// Writes `ca.crt`, `server.crt`, `server.key` for 127.0.0.1 and localhost, and `accounts.key`, `accounts.pub` for the tokens of
/// service accounts.
pub(super) fn write(folder: &Path) -> anyhow::Result<()> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "e2e");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
    let mut server = CertificateParams::new(names)?;
    server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &authority)?;

    let put = |name: &str, pem: String| {
        fs::write(folder.join(name), pem).with_context(|| format!("can't write {name}"))
    };
    put("ca.crt", authority.pem())?;
    put("server.crt", certificate.pem())?;
    put("server.key", key.serialize_pem())?;
    let accounts = KeyPair::generate()?;
    put("accounts.key", accounts.serialize_pem())?;
    put("accounts.pub", accounts.public_key_pem())
}
