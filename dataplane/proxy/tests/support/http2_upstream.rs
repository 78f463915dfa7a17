use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};

use super::Observed;

/// A server of HTTP/2 without TLS that does what a test says, each stream in a task of its own.
pub type Http2Upstream = Observed<Seen>;

#[derive(Default, Clone)]
pub struct Seen {
    pub connections: usize,
    /// Connections that the proxy has closed.
    pub closed: usize,
    pub requests: Vec<Arc<Request<()>>>,
    /// Bytes of DATA that the proxy's windows took.
    pub sent: usize,
    /// Why the proxy ended streams.
    pub resets: Vec<h2::Reason>,
}

/// One stream of the proxy.
pub struct Asked {
    pub request: Arc<Request<()>>,
    pub body: RecvStream,
    pub respond: SendResponse<Bytes>,
    /// 0 for the first connection.
    pub connection: usize,
    /// 0 for the first stream, whatever its connection.
    pub index: usize,
    pub seen: Arc<Mutex<Seen>>,
    /// Makes the connection of this stream end gracefully.
    pub go_away: Rc<tokio::sync::Notify>,
}

type Task = Pin<Box<dyn Future<Output = ()>>>;
type Script = dyn Fn(Asked) -> Task + Send + Sync;

impl Http2Upstream {
    pub fn start<F>(script: impl Fn(Asked) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        Self::with(Builder::new(), script)
    }

    pub fn with<F>(builder: Builder, script: impl Fn(Asked) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        Self::on("127.0.0.1:0".parse().unwrap(), builder, script)
    }

    pub fn on<F>(
        address: SocketAddr,
        builder: Builder,
        script: impl Fn(Asked) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = seen.clone();
        let script: Arc<Script> = Arc::new(move |asked| Box::pin(script(asked)));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio::task::LocalSet::new().block_on(&runtime, async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    tokio::task::spawn_local(serve(stream, builder.clone(), script.clone(), shared.clone()));
                }
            });
        });
        Self::new(address, seen)
    }
}

async fn serve(stream: tokio::net::TcpStream, builder: Builder, script: Arc<Script>, seen: Arc<Mutex<Seen>>) {
    let connection = {
        let mut seen = seen.lock().unwrap();
        seen.connections += 1;
        seen.connections - 1
    };
    // A proxy that goes away is no failure here.
    let Ok(mut server) = builder.handshake::<_, Bytes>(stream).await else { return };
    let go_away = Rc::new(tokio::sync::Notify::new());
    loop {
        let accepted = tokio::select! {
            accepted = server.accept() => accepted,
            () = go_away.notified() => {
                server.graceful_shutdown();
                continue;
            }
        };
        let Some(Ok((request, respond))) = accepted else {
            seen.lock().unwrap().closed += 1;
            return;
        };
        let (parts, body) = request.into_parts();
        let request = Arc::new(Request::from_parts(parts, ()));
        let index = {
            let mut seen = seen.lock().unwrap();
            seen.requests.push(request.clone());
            seen.requests.len() - 1
        };
        let go_away = go_away.clone();
        tokio::task::spawn_local(script(Asked {
            request,
            body,
            respond,
            connection,
            index,
            seen: seen.clone(),
            go_away,
        }));
    }
}

impl Asked {
    pub fn path(&self) -> &str {
        self.request.uri().path()
    }

    /// Sends a head; nothing follows if it `ends`.
    pub fn head(&mut self, response: http::response::Builder, ends: bool) -> SendStream<Bytes> {
        self.respond.send_response(response.body(()).unwrap(), ends).unwrap()
    }

    /// Says 200 with a body.
    pub fn answer(mut self, body: &'static str) {
        let mut stream = self.head(Response::builder(), false);
        stream.send_data(Bytes::from_static(body.as_bytes()), true).unwrap();
    }

    /// The whole body, and its trailers.
    pub async fn read(&mut self) -> (Vec<u8>, Option<HeaderMap>) {
        let mut all = Vec::new();
        while let Some(data) = self.body.data().await {
            let data = data.unwrap();
            self.body.flow_control().release_capacity(data.len()).unwrap();
            all.extend_from_slice(&data);
        }
        (all, self.body.trailers().await.unwrap())
    }

    /// Waits until the proxy resets the stream, and remembers why.
    pub async fn watch(&mut self) {
        let reason = std::future::poll_fn(|cx| self.respond.poll_reset(cx)).await;
        self.seen.lock().unwrap().resets.extend(reason);
    }
}

/// Sends as much as the proxy takes, `len` bytes at most, and counts it.
pub async fn flood(stream: &mut SendStream<Bytes>, len: usize, seen: &Mutex<Seen>) {
    let mut left = len;
    while left > 0 {
        stream.reserve_capacity(left.min(64 * 1024));
        let Some(Ok(room)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
        let part = room.min(left);
        if stream.send_data(Bytes::from(vec![b'x'; part]), part == left).is_err() {
            return;
        }
        left -= part;
        seen.lock().unwrap().sent += part;
    }
}
