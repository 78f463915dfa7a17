use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use rustls::SignatureAlgorithm;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

/// The certificates of a listener by the names that they are for (RFC 6125 section 6.4): exactly, by a `*` in place of the
/// first label, and else the first one.
#[derive(Default)]
pub(super) struct Names {
    exact: FxHashMap<Box<str>, Alternatives>,
    /// By what follows `*.`.
    wildcard: FxHashMap<Box<str>, Alternatives>,
    first: Alternatives,
}

/// Certificates for the same name: those that are cheaper to sign with first.
type Alternatives = Vec<Arc<CertifiedKey>>;

impl Names {
    /// `certificates` in the order in which they were given. Fails with a sentence about one that can't be read.
    pub(super) fn new(certificates: Vec<Arc<CertifiedKey>>) -> Result<Self, String> {
        let mut names = Self::default();
        let mut default = None;
        for certificate in certificates {
            let leaf = certificate.end_entity_cert().map_err(|error| error.to_string())?;
            let parsed = EndEntityCert::try_from(leaf).map_err(|error| error.to_string())?;
            let mut first = None;
            for name in parsed.valid_dns_names() {
                let name = name.to_ascii_lowercase();
                let alternatives = match name.strip_prefix("*.") {
                    Some(suffix) => names.wildcard.entry(suffix.into()).or_default(),
                    None => names.exact.entry(name.as_str().into()).or_default(),
                };
                alternatives.push(certificate.clone());
                first.get_or_insert(name);
            }
            default.get_or_insert((certificate.clone(), first));
        }
        let all = names.exact.values_mut().chain(names.wildcard.values_mut());
        all.for_each(|alternatives| {
            alternatives.sort_by_key(|it| it.key.algorithm() == SignatureAlgorithm::RSA)
        });
        if let Some((certificate, name)) = default {
            // With another key for the same name, if there is one.
            names.first = name.and_then(|name| names.find(&name)).cloned().unwrap_or_default();
            if names.first.is_empty() {
                names.first.push(certificate);
            }
        }
        Ok(names)
    }

    /// `name` in lower case, or as a certificate has it.
    fn find(&self, name: &str) -> Option<&Alternatives> {
        let suffix = || name.split_once('.').and_then(|(_, suffix)| self.wildcard.get(suffix));
        self.exact.get(name).or_else(suffix)
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = hello.server_name().and_then(|name| self.find(name));
        let alternatives = found.unwrap_or(&self.first);
        let usable = |it: &&Arc<CertifiedKey>| it.key.choose_scheme(hello.signature_schemes()).is_some();
        alternatives.iter().find(usable).or_else(|| alternatives.first()).cloned()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.exact.keys()).entries(self.wildcard.keys()).finish()
    }
}
