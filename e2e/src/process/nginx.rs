use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{free_port, until};

/// An nginx in front of one port, as a platform's router; it ends when this is dropped.
pub struct Nginx {
    process: Child,
    pub port: u16,
}

impl Nginx {
    /// Forwards to `target`, and gives up what is idle for `patience`, as in `30s`.
    pub fn before(target: u16, patience: &str, folder: &Path) -> Self {
        assert!(installed(), "nginx is missing: install Debian's, `apt-get install nginx`");
        let port = free_port();
        let file = folder.join(format!("nginx-{port}.conf"));
        std::fs::write(&file, configuration(port, target, patience)).expect("a configuration");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).arg("-c").arg(&file).stdin(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("start nginx");
        until("nginx listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Self { process, port }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn installed() -> bool {
    Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn configuration(port: u16, target: u16, patience: &str) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|of| format!("    {of}_temp_path temporary;\n"))
        .collect();
    format!(
        "daemon off;
master_process off;
pid nginx-{port}.pid;
error_log nginx-{port}.log;
events {{}}
http {{
    access_log off;
{temporary}    proxy_http_version 1.1;
    proxy_read_timeout {patience};
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $remote_addr;
    client_max_body_size 16m;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{target}; }}
    }}
}}
"
    )
}
