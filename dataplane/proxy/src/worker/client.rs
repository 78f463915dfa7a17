use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use dataplane_core::Location;
use dataplane_core::report::Delivery;
use dataplane_core::subscription::{Answer, Ask, Failure, Outcome, decode};
use dataplane_snapshot::{Root, Scope, Snapshot, manifest, wire};
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, ETAG, HOST, IF_NONE_MATCH, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::coding::{Coding, CodingError};
use super::{LeaderUrl, WorkerSettings, leader_tls};

const STATE: &str = "/api/cluster/state";

/// The header that names the root of what this worker has.
const BASE: &str = "komainu-base";

/// The header by which this worker asks for a part of the state, and the one in which a leader says which part it gives.
const ASKED: &str = "komainu-worker-scope";
const GIVEN: &str = "komainu-scope";

/// The header that says that the leader's URL is one of this machine. A leader that a proxy here calls by loopback would take a
/// worker anywhere for one on its machine, and give it private keys in clear text.
const CALL: &str = "komainu-worker-call";

/// The headers in which a leader says where this worker's node is.
const REGION: &str = "komainu-node-region";
const ZONE: &str = "komainu-node-zone";

/// Bytes a second that a request goes out with at the least. What was handed to the system isn't known to have left, so it's the
/// size that gives a request more time, and not its progress.
const SLOWEST_LINE: u64 = 32 * 1024;

/// How long the answer to a person may take.
const LONGEST_ANSWER: Duration = Duration::from_secs(30);

/// Talks to leaders. Each exchange has a connection of its own: there are few, and none can be a dead one left over.
pub(super) struct Client {
    settings: Arc<WorkerSettings>,
    member: wire::Member,
    headers: HeaderMap,
    /// Manifests in a row that didn't get through in time.
    late_manifests: AtomicU32,
}

/// A poll of one leader.
pub(super) struct Poll {
    pub(super) url: LeaderUrl,
    pub(super) known: Option<Root>,
    pub(super) hold: Duration,
    /// What is here: the leader may send what changes it, and the result shares with it what is equal.
    pub(super) base: Snapshot,
}

impl Client {
    /// `None` if the name or the credentials can't be in a header.
    pub(super) fn new(settings: Arc<WorkerSettings>, id: String) -> Option<Self> {
        let member =
            wire::Member { id, name: settings.name.clone(), version: env!("CARGO_PKG_VERSION").to_owned() };
        let mut headers = HeaderMap::new();
        if !settings.client_id.is_empty() {
            let pair = STANDARD.encode(format!("{}:{}", settings.client_id, settings.client_secret));
            let mut authorization = HeaderValue::try_from(format!("Basic {pair}")).ok()?;
            authorization.set_sensitive(true);
            headers.insert(AUTHORIZATION, authorization);
        }
        if settings.compression {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(Coding::ACCEPTED));
        }
        headers.insert("komainu-worker-id", HeaderValue::try_from(&member.id).ok()?);
        headers.insert("komainu-worker-name", HeaderValue::try_from(&member.name).ok()?);
        headers.insert("komainu-worker-version", HeaderValue::try_from(&member.version).ok()?);
        if !settings.scope.is_all() {
            headers.insert(ASKED, HeaderValue::try_from(settings.scope.to_string()).ok()?);
        }
        Some(Self { settings, member, headers, late_manifests: AtomicU32::new(0) })
    }

    pub(super) async fn poll(&self, poll: Poll) -> Answer {
        let mut ask = Ask::first(&poll.base);
        loop {
            let late = self.late_manifests.load(Relaxed);
            ask = ask.after_late(late);
            let outcome = self.outcome(ask, &poll).await;
            let outcome = outcome.unwrap_or_else(|failure| Outcome::Answer(Answer::Failed(failure)));
            self.late_manifests.store(ask.count_late(&outcome, late), Relaxed);
            if let Outcome::Answer(Answer::Failed(Failure::Damaged { reason, .. })) = &outcome {
                tracing::warn!(url = %poll.url, reason, ?ask, "what the leader gave can't be used");
            }
            match ask.then(outcome) {
                Ok(answer) => return answer,
                Err(next) => ask = next,
            }
        }
    }

    async fn outcome(&self, ask: Ask, poll: &Poll) -> Result<Outcome, Failure> {
        let response = match ask {
            Ask::Change => self.ask(poll, Some(&poll.base), poll.hold).await?,
            Ask::Difference => self.post_manifest(poll).await?,
            Ask::Whole => self.ask(poll, None, poll.hold).await?,
            Ask::WholeAfterAll => self.ask(poll, None, Duration::ZERO).await?,
        };
        match response.status() {
            StatusCode::OK => {
                self.read(response, poll).await.map(|state| Outcome::Answer(Answer::State(state)))
            }
            StatusCode::NOT_MODIFIED if poll.known.is_some() => Ok(Outcome::Answer(Answer::NotModified)),
            StatusCode::CONFLICT if ask == Ask::Change => Ok(Outcome::UnknownBase),
            StatusCode::UNAUTHORIZED => Err(Failure::Unauthorized),
            StatusCode::FORBIDDEN => Err(Failure::Forbidden),
            // One without a time is an intermediary's, about a leader that it doesn't reach or doesn't wait for.
            StatusCode::SERVICE_UNAVAILABLE if response.headers().contains_key(RETRY_AFTER) => {
                Err(Failure::Busy { retry_after: retry_after(response.headers()) })
            }
            status => Err(Failure::Unreachable(format!("{} answered {status}", poll.url))),
        }
    }

    async fn post_manifest(&self, poll: &Poll) -> Result<Response<Incoming>, Failure> {
        let base = poll.base.clone();
        // Hashing takes a while for a large state.
        let manifest = tokio::task::spawn_blocking(move || manifest::manifest(&base)).await;
        let damaged =
            |error: tokio::task::JoinError| Failure::Damaged { root: None, reason: error.to_string() };
        let mut request = self.request(Method::POST, &poll.url, STATE, manifest.map_err(damaged)?)?;
        request.headers_mut().insert(BASE, header(poll.base.root().entity_tag())?);
        self.send(&poll.url, request, self.settings.answer_timeout).await
    }

    async fn ask(
        &self,
        poll: &Poll,
        base: Option<&Snapshot>,
        hold: Duration,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = self.request(Method::GET, &poll.url, STATE, Bytes::new())?;
        let headers = request.headers_mut();
        if let Some(root) = poll.known {
            headers.insert(IF_NONE_MATCH, header(root.entity_tag())?);
        }
        if let Some(base) = base {
            headers.insert(BASE, header(base.root().entity_tag())?);
        }
        headers.insert("prefer", header(format!("wait={}", hold.as_secs()))?);
        self.send(&poll.url, request, hold + self.settings.answer_timeout).await
    }

    async fn read(&self, response: Response<Incoming>, poll: &Poll) -> Result<Snapshot, Failure> {
        let root = etag(response.headers()).ok_or_else(|| {
            Failure::Unreachable(
                "an answer without the ETag that a leader gives: is it another server?".to_owned(),
            )
        })?;
        if !is_within(response.headers(), &self.settings.scope) {
            let reason = "it isn't the part that cluster.worker.selector selects: an older leader doesn't know \
                          selectors, update it first";
            // No root is refused: once the leader knows selectors, the part may have the same.
            return Err(Failure::Incompatible { root: None, reason: reason.to_owned() });
        }
        let damaged = move |reason: String| Failure::Damaged { root: Some(root), reason };
        let coding = Coding::of(response.headers()).map_err(damaged)?;
        let bytes = self.collect(response, root).await?;
        // Hashing and decoding take a while for a large state; other work goes on meanwhile.
        let (base, limit) = (poll.base.clone(), self.settings.max_state_bytes);
        let decode = move || {
            let bytes = coding.decode(bytes, limit).map_err(|error| match error {
                CodingError::TooLong => too_long(root, limit),
                CodingError::Damaged(error) => damaged(error.to_string()),
            })?;
            decode(bytes, root, &base)
        };
        tokio::task::spawn_blocking(decode).await.map_err(|error| damaged(error.to_string()))?
    }

    /// Reads a whole body of limited length; each part of it must come in time.
    async fn collect(&self, response: Response<Incoming>, root: Root) -> Result<Bytes, Failure> {
        let limit = self.settings.max_state_bytes;
        let mut body = response.into_body();
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > limit {
            return Err(too_long(root, limit));
        }
        let mut bytes = BytesMut::with_capacity(announced);
        loop {
            let frame = timeout(self.settings.answer_timeout, body.frame())
                .await
                .map_err(|_| Failure::Unreachable("the answer stopped in the middle".to_owned()))?;
            let Some(frame) = frame else { return Ok(bytes.freeze()) };
            let frame =
                frame.map_err(|error| Failure::Unreachable(format!("the answer broke off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > limit {
                return Err(too_long(root, limit));
            }
            bytes.extend_from_slice(&data);
        }
    }

    /// Says what is in service. `Err` is a sentence.
    pub(super) async fn acknowledge(&self, url: &LeaderUrl, mut ack: wire::Ack) -> Result<(), String> {
        ack.member = Some(self.member.clone());
        let exchange = async {
            let request = self.request(Method::POST, url, "/api/cluster/ack", ack.encode_to_vec().into())?;
            self.send(url, request, self.settings.answer_timeout).await
        };
        match exchange.await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(format!("{url} answered {}", response.status())),
            Err(failure) => Err(failure.to_string()),
        }
    }

    /// Says how things are. `Err` is a sentence.
    pub(super) async fn report(&self, url: &LeaderUrl, mut report: wire::Report) -> Result<Delivery, String> {
        report.member = Some(self.member.clone());
        let exchange = async {
            let body = report.encode_to_vec().into();
            let request = self.request(Method::POST, url, "/api/cluster/report", body)?;
            self.send(url, request, self.settings.answer_timeout).await
        };
        let response = exchange.await.map_err(|failure: Failure| failure.to_string())?;
        match response.status() {
            status if status.is_success() => Ok(Delivery::Taken),
            StatusCode::CONFLICT => Ok(Delivery::Gap),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Ok(Delivery::Unknown),
            status => Err(format!("{url} answered {status}")),
        }
    }

    /// Any other request. Gives the status and the whole body of the answer.
    pub(super) async fn call(
        &self,
        url: &LeaderUrl,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let mut request = self.request(method, url, path, body)?;
        request.headers_mut().remove(ACCEPT_ENCODING);
        let response = self.send(url, request, self.settings.answer_timeout).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), self.settings.max_state_bytes);
        let broken = |what: String| Failure::Unreachable(format!("{url}: the answer broke off: {what}"));
        let body = timeout(LONGEST_ANSWER, body.collect())
            .await
            .map_err(|_| broken("it takes too long".to_owned()))?
            .map_err(|error| broken(error.to_string()))?;
        Ok((status, body.to_bytes()))
    }

    /// Says that this worker ends, so that nobody waits for it. Best effort.
    pub(super) async fn leave(&self, url: &LeaderUrl) {
        let path = format!("/api/cluster/members/{}", self.member.id);
        if let Ok(request) = self.request(Method::DELETE, url, &path, Bytes::new()) {
            let _ = self.send(url, request, Duration::from_secs(1)).await;
        }
    }

    fn request(
        &self,
        method: Method,
        url: &LeaderUrl,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|_| Failure::Unreachable(format!("no path: {path}")))?;
        *request.headers_mut() = self.headers.clone();
        let host = self.settings.host.clone().unwrap_or_else(|| url.authority());
        request.headers_mut().insert(HOST, header(host)?);
        if let Some(file) = &self.settings.token_file {
            request.headers_mut().insert(AUTHORIZATION, bearer(file)?);
        }
        if url.is_loopback() {
            request.headers_mut().insert(CALL, HeaderValue::from_static("loopback"));
        }
        Ok(request)
    }

    /// One exchange on a connection of its own, up to the head of the answer. That has to come within `limit`, and the time that
    /// the request takes on a slow line.
    async fn send(
        &self,
        url: &LeaderUrl,
        request: Request<Full<Bytes>>,
        limit: Duration,
    ) -> Result<Response<Incoming>, Failure> {
        let unreachable = |what: String| Failure::Unreachable(format!("{url}: {what}"));
        let connect = self.settings.network.connect(url.host(), url.port());
        let connect_timeout = self.settings.connect_timeout.min(limit);
        let limit = limit + sending_time(request.body());
        let stream = timeout(connect_timeout, connect)
            .await
            .map_err(|_| unreachable("no connection in time".to_owned()))?
            .map_err(|error| unreachable(error.to_string()))?;
        let answered = if url.is_https() {
            let tls = self.settings.tls.as_ref().map(|tls| tls.borrow().clone());
            let tls = tls.ok_or_else(|| Failure::Tls(format!("{url}: there are no settings for TLS")))?;
            let stream = timeout(connect_timeout, tls.connect(stream, url.host()))
                .await
                .map_err(|_| Failure::Tls(format!("{url}: no end of the handshake in time")))?
                .map_err(|trouble| Failure::Tls(trouble.to_string()))?;
            timeout(limit, exchange(stream, request)).await
        } else {
            timeout(limit, exchange(stream, request)).await
        };
        let answer = answered.map_err(|_| Failure::Late(format!("{url}: no answer in time")))?;
        let answer = answer.map_err(|error| match leader_tls::trouble(&error) {
            Some(sentence) => Failure::Tls(format!("TLS with {url}: {sentence}")),
            None => unreachable(error.to_string()),
        })?;
        if let Some(on_location) = &self.settings.on_location
            && let Some(location) = location(answer.headers())
        {
            on_location(location);
        }
        Ok(answer)
    }
}

/// Sends a request on a connection that is for it alone, and gives the head of the answer.
async fn exchange<T>(stream: T, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the body of the answer, or when both are dropped.
    tokio::spawn(connection);
    sender.send_request(request).await
}

/// How long this body takes on the slowest line.
fn sending_time(body: &Full<Bytes>) -> Duration {
    Duration::from_millis(body.size_hint().lower().saturating_mul(1000) / SLOWEST_LINE)
}

fn header(value: String) -> Result<HeaderValue, Failure> {
    HeaderValue::try_from(value).map_err(|error| Failure::Unreachable(error.to_string()))
}

/// A token is small and in memory, so reading it doesn't wait for a disk.
fn bearer(file: &Path) -> Result<HeaderValue, Failure> {
    let unusable =
        |what: &str| Failure::Unreachable(format!("cluster.worker.tokenFile {}: {what}", file.display()));
    let token = std::fs::read_to_string(file).map_err(|error| unusable(&error.to_string()))?;
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
        .map_err(|_| unusable("it holds no token"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn too_long(root: Root, limit: usize) -> Failure {
    let reason = format!("it has more than the {limit} bytes allowed here");
    Failure::Incompatible { root: Some(root), reason }
}

fn etag(headers: &HeaderMap) -> Option<Root> {
    Root::from_entity_tag(headers.get(ETAG)?.to_str().ok()?)
}

/// Whether the leader says that it gives no more than `scope`.
fn is_within(headers: &HeaderMap, scope: &Scope) -> bool {
    let given = headers.get(GIVEN).and_then(|value| value.to_str().ok()?.parse::<Scope>().ok());
    given.unwrap_or_default().is_within(scope)
}

/// Where this worker's node is, if the leader says it.
fn location(headers: &HeaderMap) -> Option<Location> {
    let [region, zone] = [REGION, ZONE].map(|name| headers.get(name).and_then(|value| value.to_str().ok()));
    let known = region.is_some() || zone.is_some();
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    known.then(|| Location { region: text(region), zone: text(zone), ..Location::default() })
}

/// Seconds; between 1 s and 30 s whatever is said.
fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1).clamp(1, 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_is_told_exactly_of_calls_within_this_machine() {
        let settings = WorkerSettings::new(Vec::new(), String::new(), String::new(), "edge".to_owned());
        let client = Client::new(Arc::new(settings), "w1".to_owned()).unwrap();
        for (url, is_told) in [
            ("http://127.0.0.1:9000", true),
            ("http://127.8.0.1", true),
            ("http://localhost:9000", true),
            ("http://[::1]:9000", true),
            ("http://[::ffff:127.0.0.1]:9000", true),
            ("https://localhost:9000", true),
            ("http://10.0.0.1:9000", false),
            ("http://leader:9000", false),
            ("http://localhost.example", false),
            ("https://leader", false),
        ] {
            let request = client.request(Method::GET, &url.parse().unwrap(), STATE, Bytes::new()).unwrap();
            let told = request.headers().get(CALL).map(HeaderValue::as_bytes);
            assert_eq!(told, is_told.then_some(&b"loopback"[..]), "{url}");
        }
    }

    #[test]
    fn a_long_request_has_more_time() {
        for (length, time) in [(0, 0), (200, 6), (640 * 1024, 20_000)] {
            let body = Full::new(Bytes::from(vec![0; length]));
            assert_eq!(sending_time(&body), Duration::from_millis(time), "{length} bytes");
        }
    }

    #[test]
    fn a_leader_says_where_the_node_is_or_nothing_of_it() {
        let of = |headers: &[(&'static str, &'static str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)));
            location(&headers.collect()).map(|location| (location.region, location.zone))
        };
        let pair = |region: &str, zone: &str| Some((region.to_owned(), zone.to_owned()));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(ZONE, "west-1")]), pair("", "west-1"));
        assert_eq!(of(&[(ZONE, "west-1"), (REGION, "west")]), pair("west", "west-1"));
    }
}
