use super::{PASSWORD, Server, free_port, installed};

impl Server {
    /// Redis that keeps what it acknowledged.
    pub fn redis() -> Self {
        installed("redis-server", "redis-server");
        let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let place = folder.path().display();
        let command = format!(
            "redis-server --port {port} --bind 127.0.0.1 --dir {place} --appendonly yes --appendfsync always \
             --requirepass {PASSWORD} --daemonize no"
        );
        let command = command.split_whitespace().map(str::to_owned).collect();
        Self::new("redis", folder, port, format!("redis://:{PASSWORD}@127.0.0.1:{port}/"), command)
    }
}
