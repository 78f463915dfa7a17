//! The listeners of the settings, as planning takes them.

use std::sync::Arc;

use anyhow::ensure;
use operator_core::{
    ClientCertificates, ClientTrust, ListenerProtocol, ListenerSettings, ListenerTls, check_listeners,
};
use operator_kubernetes::SecretName;

use crate::settings::{self, Settings};

/// Where traffic comes in if the settings don't say.
const HTTP_PORT: u16 = 8080;
const HTTPS_PORT: u16 = 8443;

pub(super) fn of(settings: &Settings) -> anyhow::Result<Vec<ListenerSettings>> {
    let listeners = settings.listeners().into_iter().map(listener).collect::<anyhow::Result<Vec<_>>>()?;
    let problems: Vec<_> = check_listeners(&listeners).iter().map(ToString::to_string).collect();
    ensure!(problems.is_empty(), "setting listeners: {}", problems.join("; "));
    Ok(listeners)
}

/// The Secrets of a cluster that listeners name, as `namespace/name`.
pub(super) fn secrets(settings: &Settings) -> anyhow::Result<Vec<SecretName>> {
    let listeners = of(settings)?;
    let tls = listeners.iter().filter_map(|listener| match &listener.protocol {
        ListenerProtocol::Http => None,
        ListenerProtocol::Https(tls) => Some(tls),
    });
    let names = tls.flat_map(|tls| {
        let trusted = match &tls.clients {
            ClientCertificates::Ignored => &[][..],
            ClientCertificates::Optional(trust) | ClientCertificates::Required(trust) => &trust.authorities,
        };
        tls.certificates.iter().chain(trusted)
    });
    let secret =
        |(namespace, name): (&str, &str)| SecretName { namespace: namespace.into(), name: name.into() };
    Ok(names.filter_map(|name| name.split_once('/')).map(secret).collect())
}

fn listener(written: settings::Listener) -> anyhow::Result<ListenerSettings> {
    let settings::Listener { name, address, port, advertised_port, protocol, proxy_protocol, http2, tls } =
        written;
    let (protocol, default_port) = match protocol {
        settings::ListenerProtocol::Http => {
            ensure!(tls.is_none(), "setting listeners: {name}: tls goes with protocol: HTTPS");
            (ListenerProtocol::Http, HTTP_PORT)
        }
        settings::ListenerProtocol::Https => {
            (ListenerProtocol::Https(Arc::new(listener_tls(&name, tls.unwrap_or_default())?)), HTTPS_PORT)
        }
    };
    let port = port.unwrap_or(default_port);
    Ok(ListenerSettings { name, address, port, advertised_port, protocol, proxy_protocol, http2 })
}

fn listener_tls(listener: &str, written: settings::ListenerTls) -> anyhow::Result<ListenerTls> {
    let settings::ListenerTls {
        certificates,
        client_certificates,
        client_authorities: authorities,
        forward_client_certificate: forwarded,
    } = written;
    let clients = match client_certificates {
        settings::ClientCertificates::Ignored => {
            ensure!(
                authorities.is_empty() && !forwarded,
                "setting listeners: {listener}: clientAuthorities and forwardClientCertificate go with \
                 clientCertificates: Optional or Required"
            );
            ClientCertificates::Ignored
        }
        settings::ClientCertificates::Optional => {
            ClientCertificates::Optional(ClientTrust { authorities, forwarded })
        }
        settings::ClientCertificates::Required => {
            ClientCertificates::Required(ClientTrust { authorities, forwarded })
        }
    };
    Ok(ListenerTls { certificates, clients })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<Vec<ListenerSettings>, String> {
        let settings: Settings = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        of(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn https_has_a_port_and_certificates_without_being_told() {
        let listeners = read("listeners: [{name: https, protocol: HTTPS}, {}]").unwrap();
        assert_eq!(listeners[0].port, 8443);
        assert_eq!(listeners[0].protocol, ListenerProtocol::Https(Arc::default()));
        assert_eq!((listeners[1].port, &listeners[1].protocol), (8080, &ListenerProtocol::Http));
    }

    #[test]
    fn everything_of_tls_arrives() {
        let tls = "{certificates: [b, a], clientCertificates: Required, clientAuthorities: [ca], \
                   forwardClientCertificate: true}";
        let listeners = read(&format!("listeners: [{{protocol: HTTPS, tls: {tls}}}]")).unwrap();
        let trust = ClientTrust { authorities: vec!["ca".to_owned()], forwarded: true };
        let certificates = vec!["b".to_owned(), "a".to_owned()];
        let expected = ListenerTls { certificates, clients: ClientCertificates::Required(trust) };
        assert_eq!(listeners[0].protocol, ListenerProtocol::Https(Arc::new(expected)));
    }

    #[test]
    fn names_with_a_namespace_are_secrets_of_the_cluster() {
        let tls =
            "{certificates: [site, edge/site], clientCertificates: Optional, clientAuthorities: [edge/ca]}";
        let yaml = format!("listeners: [{{name: https, protocol: HTTPS, tls: {tls}}}, {{}}]");
        let named = secrets(&serde_saphyr::from_str(&yaml).unwrap()).unwrap();
        let names: Vec<_> = named.iter().map(|of| format!("{}/{}", of.namespace, of.name)).collect();
        assert_eq!(names, ["edge/site", "edge/ca"]);
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (listener, said) in [
            ("{tls: {}}", "http: tls goes with protocol: HTTPS"),
            ("{protocol: HTTPS, tls: {clientAuthorities: [ca]}}", "Optional or Required"),
            ("{protocol: HTTPS, tls: {forwardClientCertificate: true}}", "Optional or Required"),
            (
                "{protocol: HTTPS, tls: {clientCertificates: Required}}",
                "tls.clientAuthorities: write at least",
            ),
            ("{protocol: HTTPS, tls: {certificates: [A/b]}}", "tls.certificates[0]: \"A/b\" is no name"),
            ("{protocol: HTTPS, tls: {certs: [a]}}", "certs"),
        ] {
            let error = read(&format!("listeners: [{listener}]")).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
