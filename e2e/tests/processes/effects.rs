//! What settings change that only a process with an environment of its own shows. The others: `komainu/src/effects`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use e2e::process::{Gateway, until};

/// In the place of an API server: it knows the cluster, and none of our kinds. Gives its port, and the paths that it is
/// asked for.
fn api_server() -> (u16, Arc<Mutex<Vec<String>>>) {
    const CLUSTER: &str = r#"{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata":
        {"name": "kube-system", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}}"#;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let paths = Arc::<Mutex<Vec<String>>>::default();
    let asked = paths.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let head = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<_> = head.take_while(|line| !line.is_empty()).collect();
            let Some(path) = head.first().and_then(|line| line.split(' ').nth(1)) else { continue };
            let (status, body) =
                if path.contains("kube-system") { ("200 OK", CLUSTER) } else { ("404 No", "") };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            asked.lock().unwrap().push(path.to_owned());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    (port, paths)
}

/// Until an API server is asked for these by a leader with these settings.
fn is_asked(folder: &Path, settings: &[(&str, &str)], path: &str) {
    let (port, paths) = api_server();
    let kubeconfig = folder.join("kubeconfig");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, \
          clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}], \
          contexts: [{{name: c, context: {{cluster: c, user: u}}}}], users: [{{name: u, user: {{}}}}]}}"
    );
    std::fs::write(&kubeconfig, text).unwrap();
    let leader = Gateway::bare_leader(folder);
    let leader = settings.iter().fold(leader, |leader, (key, value)| leader.with(key, value));
    let variable = format!("KUBECONFIG={}", kubeconfig.display());
    let _process = leader.started_by(&["env", &variable]).start();
    until(path, || {
        let paths = paths.lock().unwrap();
        paths.iter().any(|asked| asked.starts_with(path)).then_some(())
    });
}

#[test]
fn an_api_server_is_asked_for_what_is_in_the_namespaces_of_the_settings() {
    let enabled = ("kubernetes.enabled", "true");
    let everywhere = tempfile::tempdir().unwrap();
    is_asked(everywhere.path(), &[enabled], "/apis/komainu.dev/v1alpha1/routes?");
    let named = tempfile::tempdir().unwrap();
    let namespaces = ("kubernetes.namespaces.0", "shop");
    is_asked(named.path(), &[enabled, namespaces], "/apis/komainu.dev/v1alpha1/namespaces/shop/routes?");
}
