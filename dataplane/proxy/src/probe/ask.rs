//! One probe: a connection, and for HTTP one request on it.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dataplane_core::TargetTls;
use dataplane_core::health::{
    Answer, Colour, GrpcAnswer, GrpcCheck, HealthCheck, HttpCheck, Judgement, LOGIC_RESULT, LOGIC_TEST,
    Question, Server,
};
use dataplane_snapshot::wire::Protocol;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::Surroundings;
use crate::http1::fields::{self, Field};
use crate::http1::piece::{BodyReader, Piece};
use crate::http1::response_head::{ResponseError, ResponseHead};
use crate::http1::stream::{BodyError, ReadError, Stream};
use crate::http2::upstream::{Carrier, Http2Stream};
use crate::upstream::{Address, DialError, Hop, ResolveError, Transport, Via, dial};

/// As in Otoroshi: a target that doesn't answer is asked again before that counts.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(20);
/// More of a body isn't looked at.
const MAX_BODY: usize = 64 * 1024;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Resolve(#[from] ResolveError),
    #[error("{0} has no address")]
    NoAddress(Box<str>),
    #[error("{0}")]
    Dial(#[from] DialError),
    #[error("connecting to {0} took too long")]
    Late(SocketAddr),
    #[error("{0}")]
    Settings(String),
    #[error("{0}")]
    Http2(#[from] h2::Error),
    #[error("the target doesn't choose HTTP/2")]
    NoHttp2,
    #[error("sending: {0}")]
    Send(io::Error),
    #[error("the answer's head: {0}")]
    Head(#[from] ReadError<ResponseError>),
    #[error("the answer's body: {0}")]
    Body(#[from] BodyError),
}

/// Asks a server once; what it doesn't say in time is no answer.
pub(super) async fn ask(server: &Server, check: &HealthCheck, around: &Surroundings) -> Judgement {
    match timeout(check.timeout, attempts(server, check, around)).await {
        Ok(Ok(judgement)) => judgement,
        Ok(Err(trouble)) => Judgement::new(Colour::Black, trouble.to_string()),
        Err(_) => Judgement::new(Colour::Black, format!("no answer within {:?}", check.timeout)),
    }
}

async fn attempts(server: &Server, check: &HealthCheck, around: &Surroundings) -> Result<Judgement, Trouble> {
    let deadline = Instant::now() + check.timeout;
    for _ in 1..ATTEMPTS {
        if let Ok(judgement) = attempt(server, check, deadline, around).await {
            return Ok(judgement);
        }
        sleep(PAUSE).await;
    }
    attempt(server, check, deadline, around).await
}

async fn attempt(
    server: &Server,
    check: &HealthCheck,
    deadline: Instant,
    around: &Surroundings,
) -> Result<Judgement, Trouble> {
    let protocol = match check.question {
        Question::Grpc(_) => Protocol::Http2,
        Question::Tcp | Question::Http(_) => server.protocol,
    };
    let transport = connect(server, protocol, deadline, around).await?;
    match &check.question {
        Question::Tcp => Ok(Judgement::new(Colour::Green, "it takes connections")),
        Question::Http(http) => {
            let http2 = server.protocol == Protocol::Http2 && transport.carries_http2();
            let transport = if http2 { multiplexed(transport, around).await? } else { transport };
            exchange(transport, server, http, around).await
        }
        Question::Grpc(_) if !transport.carries_http2() => Err(Trouble::NoHttp2),
        Question::Grpc(check) => grpc(multiplexed(transport, around).await?, server, check, around).await,
    }
}

/// Connects to the first address that takes it. The addresses of a name have their turns; each has an equal share of the time
/// that is left.
async fn connect(
    server: &Server,
    protocol: Protocol,
    deadline: Instant,
    around: &Surroundings,
) -> Result<Transport, Trouble> {
    let mut trouble = Trouble::NoAddress(server.hostname.clone());
    let connector = |tls: &Option<Arc<TargetTls>>, hostname: &str, protocol| {
        let tls = tls.as_ref().map(|tls| around.connectors.find(tls, hostname, protocol));
        tls.transpose().map_err(|reason| Trouble::Settings(reason.to_string()))
    };
    let tls = connector(&server.tls, &server.hostname, protocol)?;
    let target = Hop::new(&server.hostname, server.ip_address, server.port);
    let via = match server.proxy.as_deref() {
        None => None,
        Some(proxy) => {
            let tls = connector(&proxy.tls, &proxy.host, Protocol::Http11)?;
            Some(Via::new(proxy, tls, target))
        }
    };
    let hop = via.as_ref().map_or(target, Via::hop);
    let addresses = addresses(hop, around).await?;
    for (index, (ip, named)) in addresses.iter().enumerate() {
        let (address, now) = (SocketAddr::new(*ip, hop.port), Instant::now());
        let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let end = now + deadline.saturating_duration_since(now) / left;
        match timeout_at(end, dial(address, via.as_ref(), tls.as_deref())).await {
            Ok(Ok(transport)) => {
                if let Some(named) = named {
                    named.succeed();
                }
                return Ok(transport);
            }
            Ok(Err(error)) => trouble = error.into(),
            Err(_) => trouble = Trouble::Late(address),
        }
        if let Some(named) = named
            && !via.as_ref().is_some_and(Via::was_asked)
        {
            named.fail(around.now());
        }
    }
    Err(trouble)
}

async fn addresses(
    hop: Hop<'_>,
    around: &Surroundings,
) -> Result<Vec<(IpAddr, Option<Arc<Address>>)>, ResolveError> {
    if let Some(ip) = hop.ip {
        return Ok(vec![(ip, None)]);
    }
    let addresses = around.resolver.resolve(hop.hostname).await?;
    let in_turn = addresses.in_turn_of_probes(around.now()).into_iter();
    Ok(in_turn.map(|address| (address.ip, Some(address))).collect())
}

/// A stream of HTTP/2 on `transport`.
async fn multiplexed(transport: Transport, around: &Surroundings) -> Result<Transport, Trouble> {
    let scheme = transport.scheme();
    let carrier = Carrier::open(transport, scheme, around.limits, None).await?;
    Ok(Transport::Http2(Box::new(Http2Stream::new(carrier))))
}

async fn grpc(
    transport: Transport,
    server: &Server,
    check: &GrpcCheck,
    around: &Surroundings,
) -> Result<Judgement, Trouble> {
    let mut stream = Stream::new(transport, around.buffers.clone(), around.limits);
    let (path, host, question) = (GrpcCheck::PATH, &server.host_header, check.body());
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: komainu-health-check\r\ncontent-type: application/grpc\r\n\
         te: trailers\r\ncontent-length: {}\r\n\r\n",
        question.len()
    );
    let text = [head.as_bytes(), &question].concat();
    stream.push(Bytes::from(text), b"");
    poll_fn(|cx| stream.poll_flush(cx)).await.map_err(Trouble::Send)?;
    let (head, bytes) = final_head(&mut stream).await?;
    let Body { data, trailers: (trailers, section) } = body(&mut stream, &head, around).await?;
    let grpc_status = fields::values(&trailers, &section, "grpc-status")
        .chain(fields::values(&head.fields, &bytes, "grpc-status"))
        .next();
    Ok(check.judge(&GrpcAnswer { status: head.status, grpc_status, body: &data }))
}

async fn exchange(
    transport: Transport,
    server: &Server,
    http: &HttpCheck,
    around: &Surroundings,
) -> Result<Judgement, Trouble> {
    let number = u32::try_from(around.draw.next() >> 33).unwrap_or_default();
    let mut stream = Stream::new(transport, around.buffers.clone(), around.limits);
    stream.push(Bytes::from(request(server, http, number)), b"");
    poll_fn(|cx| stream.poll_flush(cx)).await.map_err(Trouble::Send)?;
    let (head, bytes) = final_head(&mut stream).await?;
    let value = |name| fields::values(&head.fields, &bytes, name).next();
    let content_type = value("content-type");
    let body =
        if http.wants_body(content_type) { body(&mut stream, &head, around).await?.data } else { Vec::new() };
    let answer = Answer { status: head.status, content_type, logic_result: value(LOGIC_RESULT), body: &body };
    Ok(http.judge(&answer, number))
}

fn request(server: &Server, http: &HttpCheck, number: u32) -> String {
    let (path, host) = (http.url.path(), &server.host_header);
    let logic = if http.logic { format!("{LOGIC_TEST}: {number}\r\n") } else { String::new() };
    format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: komainu-health-check\r\naccept: */*\r\n\
         {logic}connection: close\r\n\r\n"
    )
}

async fn final_head(
    stream: &mut Stream<Transport>,
) -> Result<(ResponseHead, Bytes), ReadError<ResponseError>> {
    loop {
        let (head, bytes) = poll_fn(|cx| stream.poll_response_head(cx)).await?;
        if !head.is_interim() {
            return Ok((head, bytes));
        }
    }
}

/// What was read of an answer's body.
#[derive(Default)]
struct Body {
    data: Vec<u8>,
    /// With the bytes that they are in.
    trailers: (Vec<Field>, Bytes),
}

async fn body(
    stream: &mut Stream<Transport>,
    head: &ResponseHead,
    around: &Surroundings,
) -> Result<Body, BodyError> {
    let mut reader = BodyReader::of_response(head.body(false), &around.limits);
    let mut body = Body::default();
    while let Some(piece) = poll_fn(|cx| stream.poll_body(&mut reader, cx)).await {
        match piece? {
            Piece::Data(data) => {
                let room = MAX_BODY - body.data.len();
                body.data.extend_from_slice(data.get(..room).unwrap_or(&data));
            }
            Piece::Trailers(fields, section) => body.trailers = (fields, section),
        }
        if body.data.len() >= MAX_BODY {
            break;
        }
    }
    Ok(body)
}
