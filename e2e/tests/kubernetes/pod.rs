//! What stands in for a pod: an address that the API server takes, where somebody answers.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// Answers every request, and knows when the last one came.
pub(crate) struct Pod {
    address: IpAddr,
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    requests: u64,
    last: Option<Instant>,
}

impl Pod {
    pub(crate) fn start() -> anyhow::Result<Self> {
        // An API server takes no loopback address. This asks for the machine's own one and sends nothing.
        let probe = UdpSocket::bind("0.0.0.0:0")?;
        probe.connect("192.0.2.1:9")?;
        let listener = TcpListener::bind((probe.local_addr()?.ip(), 0))?;
        let (address, port) = (listener.local_addr()?.ip(), listener.local_addr()?.port());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Ok(Self { address, port, seen })
    }

    pub(crate) fn requests(&self) -> u64 {
        lock(&self.seen).requests
    }

    pub(crate) fn last_request(&self) -> Option<Instant> {
        lock(&self.seen).last
    }

    /// A slice of its own of the Service `pods`.
    pub(crate) fn slice(&self, name: &str) -> String {
        format!(
            "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, labels: {{kubernetes.io/service-name: pods}}}}
addressType: IPv4
ports: [{{port: {}}}]
endpoints: [{{addresses: [{}]}}]
",
            self.port, self.address
        )
    }

    /// The request that writes these conditions into its slice.
    pub(crate) fn conditions(&self, slice: &str, conditions: &str) -> anyhow::Result<http::Request<Vec<u8>>> {
        let conditions = conditions.split(", ").map(|one| format!("\"{}", one.replace(": ", "\": ")));
        let conditions = conditions.collect::<Vec<_>>().join(", ");
        let patch = format!(
            r#"{{"endpoints": [{{"addresses": ["{}"], "conditions": {{{conditions}}}}}]}}"#,
            self.address
        );
        let path = format!("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/{slice}");
        let request = http::Request::patch(path).header("content-type", "application/merge-patch+json");
        Ok(request.body(patch.into_bytes())?)
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: TcpStream, seen: &Mutex<Seen>) {
    let Ok(reader) = stream.try_clone() else { return };
    for line in BufReader::new(reader).lines().map_while(Result::ok) {
        if line.starts_with("GET ") {
            let mut seen = lock(seen);
            seen.requests += 1;
            seen.last = Some(Instant::now());
        } else if line.is_empty()
            && stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err()
        {
            return;
        }
    }
}
