use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use dataplane_snapshot::{Key, Kind, Object, wire};

use super::certificates::Certificates;
use super::findings::{Field, Findings};
use super::planned::Pass;
use super::validate;
use crate::{ClientCertificates, ClientTrust, ListenerProtocol, ListenerSettings, ListenerTls, Problem};

/// The namespace of what comes from settings.
const NAMESPACE: &str = "settings";

/// The namespace of the certificates that settings name without one.
const CERTIFICATES: &str = "default";

/// The listeners of the settings as objects.
#[derive(Clone, Debug, Default)]
pub(super) struct Listeners {
    settings: Arc<Vec<ListenerSettings>>,
    certificates: Pass,
    pub(super) names: Arc<BTreeSet<String>>,
    pub(super) objects: Arc<Vec<Object>>,
}

impl Listeners {
    pub(super) fn plan(settings: &Arc<Vec<ListenerSettings>>, certificates: &Pass, earlier: &Self) -> Self {
        if Arc::ptr_eq(settings, &earlier.settings) && certificates.is_copy_of(&earlier.certificates) {
            return earlier.clone();
        }
        let named = Certificates(certificates);
        let names = Arc::new(settings.iter().map(|listener| listener.name.clone()).collect::<BTreeSet<_>>());
        // Equal names keep their address, so that routes needn't be resolved again.
        let names = if names == earlier.names { earlier.names.clone() } else { names };
        // Of several with one name the last one counts, as in a snapshot.
        let objects: BTreeMap<_, _> =
            settings.iter().map(|listener| (&listener.name, object(listener, named))).collect();
        let objects: Arc<Vec<_>> = Arc::new(objects.into_values().collect());
        Self { settings: settings.clone(), certificates: certificates.clone(), names, objects }
    }
}

fn object(listener: &ListenerSettings, certificates: Certificates<'_>) -> Object {
    let (protocol, tls) = match &listener.protocol {
        ListenerProtocol::Http => (wire::ListenerProtocol::Http, None),
        ListenerProtocol::Https(tls) => (wire::ListenerProtocol::Https, Some(self::tls(tls, certificates))),
    };
    let payload = wire::Payload::Listener(wire::Listener {
        address: listener.address.clone(),
        port: u32::from(listener.port),
        advertised_port: listener.advertised_port.map_or(0, u32::from),
        protocol: protocol.into(),
        proxy_protocol: listener.proxy_protocol,
        tls,
        http1_only: !listener.http2,
    });
    Object::encode(Key::new(Kind::Listener, NAMESPACE, &*listener.name), &payload.into())
}

fn tls(tls: &ListenerTls, certificates: Certificates<'_>) -> wire::ListenerTls {
    let named: Vec<_> = match tls.certificates.as_slice() {
        [] => certificates.certified(CERTIFICATES),
        names => names.iter().map(|name| key(name)).collect(),
    };
    let trusted = |names: &[String]| -> Vec<String> {
        names.iter().map(|name| certificates.trusted(key(name)).to_string()).collect()
    };
    let (asked, trust) = match &tls.clients {
        ClientCertificates::Ignored => (wire::ClientCertificates::Ignored, None),
        ClientCertificates::Optional(trust) => (wire::ClientCertificates::Optional, Some(trust)),
        ClientCertificates::Required(trust) => (wire::ClientCertificates::Required, Some(trust)),
    };
    wire::ListenerTls {
        certificates: named.iter().map(Key::to_string).collect(),
        client_certificates: asked.into(),
        client_authorities: trust.map(|trust| trusted(&trust.authorities)).unwrap_or_default(),
        forward_client_certificate: trust.is_some_and(|trust| trust.forwarded),
    }
}

/// `name`, or `namespace/name` for a Secret of the cluster.
fn key(name: &str) -> Key {
    let (namespace, name) = name.split_once('/').unwrap_or((CERTIFICATES, name));
    Key::new(Kind::Certificate, namespace, name)
}

/// What is wrong with listeners. Settings are read at start, and a program with wrong ones doesn't start: so `plan` takes
/// them as they are, and whoever reads them asks here first.
pub fn check_listeners(settings: &[ListenerSettings]) -> Vec<Problem> {
    let mut findings = Findings::default();
    let root = Field::Root("listeners");
    for (index, listener) in settings.iter().enumerate() {
        let at = root.index(index);
        let is_named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if listener.name.is_empty() || listener.name.len() > 63 || !listener.name.bytes().all(is_named) {
            findings.invalid(&at.name("name"), "write 1 to 63 lower-case letters, digits or '-'");
        }
        if !listener.address.is_empty() && listener.address.parse::<IpAddr>().is_err() {
            let message =
                format!("{:?} is no IP address: write for instance 127.0.0.1 or ::1", listener.address);
            findings.invalid(&at.name("address"), message);
        }
        if let ListenerProtocol::Https(tls) = &listener.protocol {
            check_tls(tls, &at.name("tls"), &mut findings);
        }
        let earlier = settings.iter().take(index);
        for (other, earlier) in earlier.enumerate() {
            if earlier.name == listener.name {
                findings.invalid(&at.name("name"), format!("listeners[{other}] has this name too"));
            }
            if listener.port != 0 && (&earlier.address, earlier.port) == (&listener.address, listener.port) {
                findings
                    .invalid(&at.name("port"), format!("listeners[{other}] has this address and port too"));
            }
        }
    }
    findings.into_refusal().map(|refusal| refusal.problems).unwrap_or_default()
}

fn check_tls(tls: &ListenerTls, at: &Field<'_>, findings: &mut Findings) {
    validate::listener_certificates(&tls.certificates, &at.name("certificates"), findings);
    if let ClientCertificates::Optional(ClientTrust { authorities, .. })
    | ClientCertificates::Required(ClientTrust { authorities, .. }) = &tls.clients
    {
        let at = at.name("clientAuthorities");
        validate::listener_certificates(authorities, &at, findings);
        if authorities.is_empty() {
            findings.invalid(&at, "write at least one: who signed the certificates of clients");
        }
    }
}
