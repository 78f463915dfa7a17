use std::sync::Arc;

use bytes::Bytes;
use dataplane_core::{CertifiedKey, TargetTls};
use dataplane_proxy::worker::LeaderTls;
use dataplane_snapshot::{Key, Kind};
use operator_core::{CertificateSpec, PrivateKey};
use operator_server::port::PortTls;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// An authority of leaders or of workers.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn trusted(&self) -> Vec<Bytes> {
        vec![Bytes::copy_from_slice(self.0.der())]
    }

    pub(crate) fn issue(&self, name: &str) -> CertificateSpec {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        CertificateSpec {
            chain: vec![Bytes::copy_from_slice(certificate.der())],
            key: Some(PrivateKey(key.serialize_der().into())),
            authorities: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// A leader's port on the host `name`, that asks for the certificates of `workers`.
    pub(crate) fn port(&self, name: &str, workers: Option<&Self>) -> PortTls {
        let authorities = workers.map(Self::trusted).unwrap_or_default();
        PortTls::new(&self.issue(name), &authorities).unwrap()
    }

    /// A worker that trusts this authority's leaders, and has a certificate of its own.
    pub(crate) fn worker(&self, own: Option<&CertificateSpec>) -> LeaderTls {
        let own = own.map(|own| {
            let name = Key::new(Kind::Certificate, "settings", "worker");
            Arc::new(CertifiedKey { name, chain: own.chain.clone(), key: own.key.clone().unwrap() })
        });
        LeaderTls::new(&TargetTls::new(own.into_iter().collect(), self.trusted(), false)).unwrap()
    }
}
