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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum ListenerProtocol {
    Unspecified = 0,
    /// Clear-text HTTP/1.1.
    Http = 1,
}
