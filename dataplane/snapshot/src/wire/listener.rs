/// Where a worker accepts connections. A worker's own settings may override address and port by the listener's name.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Listener {
    /// An IP address; empty: all addresses, IPv6 and IPv4.
    #[prost(string, tag = "1")]
    pub address: String,
    /// The port to bind, 0 for any free one.
    #[prost(uint32, tag = "2")]
    pub port: u32,
    /// The port that clients see, if another; 0: the same.
    #[prost(uint32, tag = "3")]
    pub advertised_port: u32,
    #[prost(enumeration = "ListenerProtocol", tag = "4")]
    pub protocol: i32,
    /// Each connection begins with a header of the PROXY protocol that names the client.
    #[prost(bool, tag = "5")]
    pub proxy_protocol: bool,
    /// For HTTPS, and only for it.
    #[prost(message, optional, tag = "6")]
    pub tls: Option<ListenerTls>,
    /// Clients may not speak HTTP/2.
    #[prost(bool, tag = "7")]
    pub http1_only: bool,
}

/// TLS towards clients. Certificates are named by their keys.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListenerTls {
    /// Each has a private key. Chosen by server name; the first is for clients that name none that another is for.
    #[prost(string, repeated, tag = "1")]
    pub certificates: Vec<String>,
    #[prost(enumeration = "ClientCertificates", tag = "2")]
    pub client_certificates: i32,
    /// What certificates of clients are, or are signed by.
    #[prost(string, repeated, tag = "3")]
    pub client_authorities: Vec<String>,
    /// Targets get the client's certificate in the header `Client-Cert` (RFC 9440).
    #[prost(bool, tag = "4")]
    pub forward_client_certificate: bool,
}

/// Whether clients are asked for a certificate, and served without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum ClientCertificates {
    Ignored = 0,
    Optional = 1,
    Required = 2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum ListenerProtocol {
    Unspecified = 0,
    /// Clear text: HTTP/1.1, and HTTP/2 unless [`Listener::http1_only`].
    Http = 1,
    /// HTTP over TLS.
    Https = 2,
}
