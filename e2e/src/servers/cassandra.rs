use std::path::Path;
use std::process::Command;

use super::tls::Certificates;
use super::{Server, free_port};

/// What a JVM of version 17 has to let it do.
const EXPORTS: [&str; 6] = [
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
];
const OPENS: [&str; 15] = [
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.management/com.sun.management.internal",
];

impl Server {
    /// One node of Cassandra that has what it acknowledged in its commit log.
    pub fn cassandra() -> Self {
        Self::cassandra_with("", "127.0.0.1", "")
    }

    /// The same inside TLS, for clients with a certificate.
    pub fn cassandra_with_tls(certificates: &Certificates) -> Self {
        let Certificates { authority, server_both, .. } = certificates;
        let options = format!(
            "client_encryption_options:
  enabled: true
  optional: false
  require_client_auth: true
  ssl_context_factory: {{class_name: org.apache.cassandra.security.PEMBasedSslContextFactory}}
  keystore: {}
  truststore: {}
",
            server_both.display(),
            authority.display()
        );
        Self::cassandra_with(&options, "localhost", "?tls=true")
    }

    fn cassandra_with(options: &str, host: &str, query: &str) -> Self {
        let jars = jars();
        let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
        std::fs::write(
            folder.path().join("cassandra.yaml"),
            format!("{}{options}", settings(folder.path(), port)),
        )
        .expect("its settings");
        std::fs::write(folder.path().join("logback.xml"), LOGS).expect("its settings of logs");
        let place = folder.path().display();
        let mut command = vec!["java".to_owned(), format!("-javaagent:{jars}/jamm-0.3.2.jar")];
        for (option, packages) in [("--add-exports", &EXPORTS[..]), ("--add-opens", &OPENS[..])] {
            command.extend(
                packages.iter().flat_map(|package| [option.to_owned(), format!("{package}=ALL-UNNAMED")]),
            );
        }
        let options = format!(
            "-Xms512m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.security.manager=allow \
             -Dlogback.configurationFile=file://{place}/logback.xml -Dcassandra.config=file://{place}/cassandra.yaml \
             -Dcassandra.storagedir={place}/data -Dcassandra-foreground=yes -Dcassandra.superuser_setup_delay_ms=0 \
             -Dcassandra.ring_delay_ms=0 -Dcassandra.skip_wait_for_gossip_to_settle=0 \
             -cp {jars}/* org.apache.cassandra.service.CassandraDaemon"
        );
        command.extend(options.split_whitespace().map(str::to_owned));
        // Its first user. Who wants another one makes it.
        let url = format!("cassandra://cassandra:cassandra@{host}:{port}/komainu{query}");
        Self::new("cassandra", folder, port, url, command)
    }
}

/// The folder of its jars, which is filled at the first time.
fn jars() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/cassandra");
    let output = Command::new(script).output().expect("run e2e/tools/cassandra");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().last().expect("a folder").trim().to_owned()
}

fn settings(folder: &Path, port: u16) -> String {
    let (place, storage) = (folder.display(), free_port());
    format!(
        "cluster_name: komainu
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
authenticator: PasswordAuthenticator
authorizer: CassandraAuthorizer
data_file_directories: [{place}/data/data]
commitlog_directory: {place}/data/commitlog
saved_caches_directory: {place}/data/caches
hints_directory: {place}/data/hints
cdc_raw_directory: {place}/data/cdc
commitlog_sync: group
commitlog_sync_group_window: 2ms
disk_failure_policy: stop
commit_failure_policy: stop
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
storage_port: {storage}
native_transport_port: {port}
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{{seeds: \"127.0.0.1:{storage}\"}}]
auto_bootstrap: false
memtable_allocation_type: heap_buffers
"
    )
}

const LOGS: &str = r#"<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender"><encoder><pattern>%d %level %logger %msg%n</pattern></encoder></appender>
  <root level="WARN"><appender-ref ref="OUT"/></root>
</configuration>
"#;
