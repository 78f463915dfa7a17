use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// An authority, and what it signed: a certificate of a server at `localhost` and one of a client. Files in PEM; made once more in
/// the same folder they replace the ones before.
pub struct Certificates {
    pub authority: PathBuf,
    pub server: PathBuf,
    pub server_key: PathBuf,
    /// Both in one.
    pub server_both: PathBuf,
    pub client: PathBuf,
    pub client_key: PathBuf,
}

impl Certificates {
    pub fn make(folder: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("an authority");
        params.distinguished_name.push(DnType::CommonName, "e2e");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let authority = file(folder, "ca.crt", &issuer.pem());
        let sign = |name: &str, names: &[&str], usage| {
            let key = KeyPair::generate().expect("a key");
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            let mut params = CertificateParams::new(names).expect("names");
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![usage];
            let certificate = params.signed_by(&key, &issuer).expect("a certificate");
            let key = file(folder, &format!("{name}.key"), &key.serialize_pem());
            (file(folder, &format!("{name}.crt"), &certificate.pem()), key)
        };
        let (server, server_key) =
            sign("server", &["localhost", "127.0.0.1"], ExtendedKeyUsagePurpose::ServerAuth);
        let (client, client_key) = sign("komainu", &[], ExtendedKeyUsagePurpose::ClientAuth);
        let pem = [&server_key, &server].map(|path| std::fs::read_to_string(path).expect("a file")).concat();
        let server_both = file(folder, "server.pem", &pem);
        Self { authority, server, server_key, server_both, client, client_key }
    }
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a file");
    path
}
