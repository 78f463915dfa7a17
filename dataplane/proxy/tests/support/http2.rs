use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::PATIENCE;

/// A client that speaks HTTP/2 without TLS from its first byte.
pub struct Http2 {
    pub send: SendRequest<Bytes>,
    /// Ends with the connection.
    pub driver: JoinHandle<Result<(), h2::Error>>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The reason of an answer that the proxy itself gave.
    pub fn reason(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).expect("an error answer is JSON");
        json["reason"].as_str().unwrap().to_owned()
    }
}

pub fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://a.test{path}"))
}

pub fn get(path: &str) -> Request<()> {
    request(Method::GET, path).body(()).unwrap()
}

pub fn post(path: &str) -> Request<()> {
    request(Method::POST, path).body(()).unwrap()
}

/// Waits no longer than for anything else here.
pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

impl Http2 {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::with(address, &client::Builder::new()).await
    }

    pub async fn with(address: SocketAddr, builder: &client::Builder) -> Self {
        let io = TcpStream::connect(address).await.unwrap();
        io.set_nodelay(true).unwrap();
        let (send, connection) = builder.handshake(io).await.unwrap();
        Self { send, driver: tokio::spawn(connection) }
    }

    /// Begins a request.
    pub async fn begin(&mut self, request: Request<()>, end: bool) -> (ResponseFuture, SendStream<Bytes>) {
        within(std::future::poll_fn(|cx| self.send.poll_ready(cx))).await.unwrap();
        self.send.send_request(request, end).unwrap()
    }

    /// A request without a body, and its whole answer.
    pub async fn ask(&mut self, request: Request<()>) -> Answer {
        let (response, _) = self.begin(request, true).await;
        answer(response).await
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.ask(get(path)).await
    }

    /// A request with a body in one piece, and its whole answer.
    pub async fn put(&mut self, request: Request<()>, body: &[u8]) -> Answer {
        let (response, mut stream) = self.begin(request, false).await;
        send(&mut stream, body, true).await;
        answer(response).await
    }
}

/// Sends `body` as the other side takes it.
pub async fn send(stream: &mut SendStream<Bytes>, mut body: &[u8], end: bool) {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let len = within(std::future::poll_fn(|cx| stream.poll_capacity(cx))).await.unwrap().unwrap();
        let (part, rest) = body.split_at(len.min(body.len()));
        stream.send_data(Bytes::copy_from_slice(part), end && rest.is_empty()).unwrap();
        body = rest;
    }
}

pub async fn answer(response: ResponseFuture) -> Answer {
    whole(within(response).await.unwrap()).await.unwrap()
}

/// Reads the body, too.
pub async fn whole(response: Response<RecvStream>) -> Result<Answer, h2::Error> {
    let (parts, mut stream) = response.into_parts();
    let mut body = Vec::new();
    while let Some(data) = within(stream.data()).await {
        let data = data?;
        stream.flow_control().release_capacity(data.len()).unwrap();
        body.extend_from_slice(&data);
    }
    let trailers = within(stream.trailers()).await?;
    Ok(Answer { status: parts.status.as_u16(), fields: parts.headers, body, trailers })
}

/// Why the other side reset the stream.
pub async fn reset_of(response: ResponseFuture) -> Option<Reason> {
    let error = match within(response).await {
        Err(error) => error,
        Ok(response) => whole(response).await.expect_err("the answer isn't whole"),
    };
    assert!(error.is_reset(), "{error}");
    error.reason()
}
