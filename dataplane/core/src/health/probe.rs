use std::net::IpAddr;
use std::sync::Arc;

use dataplane_snapshot::{Key, wire};

use super::{CheckUrl, HealthCheck, Question};
use crate::target::host_header;
use crate::{CompiledBackend, CompiledTarget, ForwardProxy, TargetState, TargetTls};

/// One server to ask regularly, and whom its answers are about.
#[derive(Clone, Debug)]
pub struct Probe {
    pub backend: Key,
    /// The target that is asked; `None`: another server is asked, for all targets of the backend.
    pub target: Option<Box<str>>,
    pub server: Server,
    pub check: Arc<HealthCheck>,
    /// The targets by id that get the answers.
    pub states: Vec<(Box<str>, Arc<TargetState>)>,
}

/// Where a probe goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// To resolve, unless there is an address.
    pub hostname: Box<str>,
    pub port: u16,
    pub ip_address: Option<IpAddr>,
    pub host_header: Box<str>,
    /// `None`: clear text.
    pub tls: Option<Arc<TargetTls>>,
    pub protocol: wire::Protocol,
    /// On the way there.
    pub proxy: Option<Arc<ForwardProxy>>,
}

impl CompiledBackend {
    /// What has to be probed: nothing without a health check.
    pub fn probes(&self) -> Vec<Probe> {
        let Some(check) = self.health_check() else { return Vec::new() };
        let of = |target: &CompiledTarget| Probe {
            backend: self.key.clone(),
            target: Some(target.id.clone()),
            server: self.through_proxy(Server::from(target)),
            check: Arc::clone(check),
            states: vec![(target.id.clone(), Arc::clone(&target.state))],
        };
        match elsewhere(check, self.targets()) {
            None => self.targets().iter().map(of).collect(),
            Some(_) if self.targets().is_empty() => Vec::new(),
            Some(server) => vec![Probe {
                backend: self.key.clone(),
                target: None,
                server: self.through_proxy(server),
                check: Arc::clone(check),
                states: self
                    .targets()
                    .iter()
                    .map(|target| (target.id.clone(), Arc::clone(&target.state)))
                    .collect(),
            }],
        }
    }

    /// Asked in the way that requests go.
    fn through_proxy(&self, server: Server) -> Server {
        let proxy = self.connections.proxy_to(&server.hostname).cloned();
        Server { proxy, ..server }
    }
}

/// The server of a URL whose host and port are those of none of the targets.
fn elsewhere(check: &HealthCheck, targets: &[CompiledTarget]) -> Option<Server> {
    let Question::Http(http) = &check.question else { return None };
    let CheckUrl::Absolute { host, port, secured, .. } = &http.url else { return None };
    (!targets.iter().any(|target| http.url.is_of(target))).then(|| Server {
        hostname: host.clone(),
        port: *port,
        ip_address: None,
        host_header: host_header(host, *port, if *secured { 443 } else { 80 }).unwrap_or_default().into(),
        tls: secured.then(|| Arc::new(TargetTls::of_the_system())),
        protocol: wire::Protocol::Http11,
        proxy: None,
    })
}

impl From<&CompiledTarget> for Server {
    fn from(target: &CompiledTarget) -> Self {
        Self {
            hostname: target.hostname.clone(),
            port: target.port,
            ip_address: target.ip_address,
            host_header: target.host_header.clone(),
            tls: target.tls.clone(),
            protocol: target.protocol,
            proxy: None,
        }
    }
}
