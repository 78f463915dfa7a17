use super::tls::Certificates;
use super::{PASSWORD, Server, free_port, installed};

impl Server {
    /// Redis that keeps what it acknowledged.
    pub fn redis() -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let command = command(&format!("{} --port {port}", folder.path().display()));
        Self::new("redis", folder, port, format!("redis://:{PASSWORD}@127.0.0.1:{port}/"), command)
    }

    /// The same inside TLS, for clients with a certificate.
    pub fn redis_with_tls(certificates: &Certificates) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let Certificates { authority, server, server_key, .. } = certificates;
        let command = command(&format!(
            "{} --port 0 --tls-port {port} --tls-ca-cert-file {} --tls-cert-file {} --tls-key-file {}",
            folder.path().display(),
            authority.display(),
            server.display(),
            server_key.display()
        ));
        Self::new("redis", folder, port, format!("rediss://:{PASSWORD}@localhost:{port}/"), command)
    }
}

fn command(folder_and_ports: &str) -> Vec<String> {
    installed("redis-server", "redis-server");
    let command = format!(
        "redis-server --bind 127.0.0.1 --appendonly yes --appendfsync always --requirepass {PASSWORD} --daemonize no --dir {folder_and_ports}"
    );
    command.split_whitespace().map(str::to_owned).collect()
}
