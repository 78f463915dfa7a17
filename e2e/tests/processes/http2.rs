//! Clients and a target that speak HTTP/2 in clear text.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use e2e::process::LoadReport;
use h2::client::{SendRequest, handshake};
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long an answer may take before it counts as none.
const PATIENCE: Duration = Duration::from_secs(30);

async fn connect(port: u16) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the gateway");
    stream.set_nodelay(true).expect("no delay");
    let (send, connection) = handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    send
}

fn request(method: Method, path: &str) -> Request<()> {
    let request = Request::builder().method(method).uri(format!("http://localhost{path}"));
    request.header("content-type", "application/grpc").header("te", "trailers").body(()).expect("a request")
}

/// A target that sends back what comes on each stream, as gRPC's trailers want it; its port.
pub(crate) async fn upstream() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    let head = Response::builder().header("content-type", "application/grpc").body(());
                    let send = respond.send_response(head.expect("a head"), false).expect("answer");
                    tokio::spawn(send_back(request.into_body(), send));
                }
            });
        }
    });
    port
}

async fn send_back(mut receive: RecvStream, mut send: SendStream<Bytes>) {
    while let Some(Ok(data)) = receive.data().await {
        let _ = receive.flow_control().release_capacity(data.len());
        if send.send_data(data, false).is_err() {
            return;
        }
    }
    let status =
        http::HeaderMap::from_iter([("grpc-status".parse().expect("a name"), "0".parse().expect("a value"))]);
    let _ = send.send_trailers(status);
}

/// A call of gRPC with messages in both directions for as long as it is open.
pub(crate) struct Chat {
    send: SendStream<Bytes>,
    receive: RecvStream,
    _connection: SendRequest<Bytes>,
}

impl Chat {
    pub(crate) async fn open(port: u16, path: &str) -> Self {
        let mut connection = connect(port).await;
        let (answer, send) = connection.send_request(request(Method::POST, path), false).expect("a call");
        let answer = timeout(PATIENCE, answer).await.expect("in time").expect("an answer");
        assert_eq!(answer.status(), 200);
        Self { send, receive: answer.into_body(), _connection: connection }
    }

    /// Sends a message, and waits for it to come back.
    pub(crate) async fn say(&mut self, text: &str) {
        let length = u32::try_from(text.len()).expect("a short text");
        let message = [&[0][..], &length.to_be_bytes(), text.as_bytes()].concat();
        self.send.send_data(message.clone().into(), false).expect("the stream is open");
        let mut back = Vec::new();
        while back.len() < message.len() {
            let data = timeout(PATIENCE, self.receive.data()).await.expect("in time");
            let data = data.expect("the stream goes on").expect("no reset");
            self.receive.flow_control().release_capacity(data.len()).expect("capacity");
            back.extend_from_slice(&data);
        }
        assert_eq!(back, message);
    }

    /// Ends the call, which then has gone well.
    pub(crate) async fn end(mut self) {
        self.send.send_data(Bytes::new(), true).expect("the stream is open");
        assert!(timeout(PATIENCE, self.receive.data()).await.expect("in time").is_none());
        let trailers = self.receive.trailers().await.expect("no reset").expect("trailers");
        assert_eq!(trailers["grpc-status"], "0");
    }
}

/// As [`e2e::process::Load`], on streams of one connection.
pub(crate) struct Http2Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Http2Load {
    pub(crate) fn start(runtime: &Runtime, port: u16, path: &'static str, clients: usize) -> Self {
        let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let connection = runtime.block_on(connect(port));
        let client = || runtime.spawn(ask(connection.clone(), path, stop.clone(), served.clone()));
        let clients = (0..clients).map(|_| client()).collect();
        Self { stop, served, clients }
    }

    pub(crate) async fn stop(self) -> LoadReport {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for client in self.clients {
            failures.extend(client.await.expect("a client"));
        }
        LoadReport { requests: self.served.load(Ordering::Relaxed), failures }
    }
}

/// One request after the other, until it is told to stop or too many have failed.
async fn ask(
    connection: SendRequest<Bytes>,
    path: &str,
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
) -> Vec<String> {
    let mut failures = Vec::new();
    while !stop.load(Ordering::Relaxed) && failures.len() < 20 {
        match timeout(PATIENCE, exchange(connection.clone(), path)).await {
            Ok(Ok(200)) => {
                served.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Ok(status)) => failures.push(format!("HTTP/2 {path}: {status}")),
            Ok(Err(error)) => failures.push(format!("HTTP/2 {path}: {error}")),
            Err(_) => failures.push(format!("HTTP/2 {path}: no answer in time")),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    failures
}

async fn exchange(connection: SendRequest<Bytes>, path: &str) -> Result<u16, h2::Error> {
    let mut connection = connection.ready().await?;
    let request = Request::builder().uri(format!("http://localhost{path}")).body(()).expect("a request");
    let (answer, _) = connection.send_request(request, true)?;
    let answer = answer.await?;
    let (status, mut body) = (answer.status().as_u16(), answer.into_body());
    while let Some(data) = body.data().await {
        body.flow_control().release_capacity(data?.len())?;
    }
    Ok(status)
}
