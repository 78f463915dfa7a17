//! Where traffic comes in, as it is written.

use serde::{Deserialize, Serialize};

use super::written;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Listener {
    /// Default `http`.
    pub(crate) name: String,
    /// An IP address; empty: all.
    pub(crate) address: String,
    /// Default 8080, with HTTPS 8443; on a worker the leader's.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "written::optional")]
    pub(crate) port: Option<u16>,
    /// The port that clients see, if another.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "written::optional")]
    pub(crate) advertised_port: Option<u16>,
    pub(crate) protocol: ListenerProtocol,
    /// Each connection begins with a header of the PROXY protocol, which is believed.
    #[serde(deserialize_with = "written::plain")]
    pub(crate) proxy_protocol: bool,
    /// Clients may speak HTTP/2, too.
    #[serde(deserialize_with = "written::plain")]
    pub(crate) http2: bool,
    /// For HTTPS, and only for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<ListenerTls>,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            name: "http".to_owned(),
            address: String::new(),
            port: None,
            advertised_port: None,
            protocol: ListenerProtocol::Http,
            proxy_protocol: false,
            http2: true,
            tls: None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ListenerProtocol {
    #[default]
    #[serde(rename = "HTTP")]
    Http,
    #[serde(rename = "HTTPS")]
    Https,
}

/// TLS towards clients. Certificates are named as their files, without `.crt`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ListenerTls {
    /// Chosen by server name, the first one for all other clients; empty: all that have a private key.
    pub(crate) certificates: Vec<String>,
    pub(crate) client_certificates: ClientCertificates,
    /// What certificates of clients are, or are signed by.
    pub(crate) client_authorities: Vec<String>,
    /// Targets get the client's certificate in the header `Client-Cert`.
    #[serde(deserialize_with = "written::plain")]
    pub(crate) forward_client_certificate: bool,
}

/// Whether clients are asked for a certificate, and served without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ClientCertificates {
    #[default]
    Ignored,
    Optional,
    Required,
}
