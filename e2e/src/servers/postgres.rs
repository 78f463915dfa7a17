use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::tls::Certificates;
use super::{PASSWORD, Server, free_port};

const USER: &str = "komainu";

impl Server {
    /// PostgreSQL as it is installed: `fsync` and `synchronous_commit` on.
    pub fn postgres() -> Self {
        Self::postgres_with("", "?sslmode=disable")
    }

    /// The same inside TLS, for clients with a certificate.
    pub fn postgres_with_tls(certificates: &Certificates) -> Self {
        let Certificates { authority, server, server_key, .. } = certificates;
        // Its user reads them, and takes no key that others can read.
        let owned = Command::new("chown").arg("postgres").args([authority, server, server_key]).status();
        assert!(owned.expect("chown").success(), "chown failed");
        std::fs::set_permissions(server_key, std::fs::Permissions::from_mode(0o600)).expect("a private key");
        let options = format!(
            "-c ssl=on -c ssl_ca_file={} -c ssl_cert_file={} -c ssl_key_file={}",
            authority.display(),
            server.display(),
            server_key.display()
        );
        Self::postgres_with(&options, "?sslmode=verify-full")
    }

    fn postgres_with(options: &str, query: &str) -> Self {
        let programs = programs();
        let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let data = folder.path().join("data");
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).expect("a password file");
        open_to_all(folder.path());
        let initdb = format!(
            "{} --pgdata={} --username={USER} --pwfile={} --auth=scram-sha-256 --locale=C.UTF-8 --no-instructions",
            programs.join("initdb").display(),
            data.display(),
            password.display()
        );
        let made = Command::new("setpriv").args(as_its_user(&initdb)).stdout(Stdio::null()).status();
        assert!(made.expect("setpriv").success(), "initdb failed");
        if !options.is_empty() {
            let rules = "hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-full\n";
            std::fs::write(data.join("pg_hba.conf"), rules).expect("its rules");
        }
        let postgres = format!(
            "{} -D {} -c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= {options}",
            programs.join("postgres").display(),
            data.display()
        );
        let command = [vec!["setpriv".to_owned()], as_its_user(&postgres)].concat();
        let url = format!("postgresql://{USER}:{PASSWORD}@localhost:{port}/postgres{query}");
        Self::new("postgres", folder, port, url, command)
    }
}

/// It refuses to run as root. Debian's package makes the user.
fn as_its_user(command: &str) -> Vec<String> {
    let user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"].map(str::to_owned);
    user.into_iter().chain(command.split_whitespace().map(str::to_owned)).collect()
}

/// Its user makes files there.
fn open_to_all(folder: &Path) {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).expect("a folder for all");
}

/// The folder of the newest version. Debian doesn't put it on the PATH.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.filter_map(|version| {
        let number: u32 = version.file_name().to_str()?.parse().ok()?;
        Some((number, version.path().join("bin")))
    });
    let newest = newest.filter(|(_, folder)| folder.join("postgres").exists()).max();
    newest.expect("PostgreSQL is missing: apt-get install postgresql").1
}
