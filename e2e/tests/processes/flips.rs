//! Routes that lead elsewhere all the time, under load by HTTP/1.1 and HTTP/2, with long streams through them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use e2e::process::{Gateway, Load, figure, get, until};
use tokio::runtime::Runtime;

use crate::fixture::Fixture;
use crate::http2::{Chat, Http2Load, upstream};

/// How often routes change; by `FLIPS=1000` in the environment, another number of times.
const FLIPS: usize = 50;

/// The time from one change to the next.
const PACE: Duration = Duration::from_millis(200);

fn flips() -> usize {
    std::env::var("FLIPS").map_or(FLIPS, |text| text.parse().expect("FLIPS is a number"))
}

/// Three routes to `name`, of which each says so in a header: for requests, for a WebSocket, and for streams of HTTP/2.
fn routes(name: &str, port: u16, http2: u16) -> String {
    let route = |path: &str, target: String| {
        format!(
            "apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {{name: {path}}}
spec:
  matches: [{{paths: [{{value: /{path}}}]}}]
  filters: {{responseHeaderModifier: {{set: [{{name: x-flip, value: {name}}}]}}}}
  backends: [{{inline: {{targets: [{target}]}}}}]
"
        )
    };
    [
        route("flip", format!("{{hostname: 127.0.0.1, port: {port}}}")),
        route("socket", format!("{{hostname: 127.0.0.1, port: {port}}}")),
        route("chat", format!("{{hostname: 127.0.0.1, port: {http2}, protocol: HTTP/2.0}}")),
    ]
    .join("---\n")
}

/// A WebSocket through the gateway, whose messages come back.
struct Socket(BufReader<TcpStream>);

impl Socket {
    fn open(port: u16) -> Self {
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).expect("the gateway"));
        let head = "GET /socket HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.get_mut().write_all(head.as_bytes()).expect("ask for a WebSocket");
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != "\r\n") {
            let mut line = String::new();
            assert!(stream.read_line(&mut line).expect("the answer's head") > 0, "{lines:?}");
            lines.push(line);
        }
        assert!(lines[0].starts_with("HTTP/1.1 101"), "{lines:?}");
        Self(stream)
    }

    /// Sends a text of up to 125 bytes, and waits for it to come back.
    fn say(&mut self, text: &str) {
        const MASK: [u8; 4] = [1, 2, 3, 4];
        let length = u8::try_from(text.len()).expect("a short text");
        let masked = text.bytes().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        let frame: Vec<u8> = [0x81, 0x80 | length].into_iter().chain(MASK).chain(masked).collect();
        self.0.get_mut().write_all(&frame).expect("send a message");
        let mut back = vec![0; 2 + text.len()];
        self.0.read_exact(&mut back).expect("the message comes back");
        assert_eq!(back, [&[0x81, length], text.as_bytes()].concat());
    }
}

/// The header and the target are of one route: never those of two.
fn serves(gateway: &Gateway, name: &str) -> Option<()> {
    let answer = get(gateway.port, "/flip").ok()?;
    let header = answer.header("x-flip").expect("a header of the route").to_owned();
    assert_eq!(answer.json()["name"], header.as_str(), "{answer:?}");
    (header == name).then_some(())
}

#[test]
fn routes_that_flip_fail_no_request_and_reset_no_stream() {
    let fixture = Fixture::new();
    let runtime = Runtime::new().unwrap();
    let (first, second) = (runtime.block_on(upstream()), runtime.block_on(upstream()));
    let write = |round: usize| {
        let of =
            if round.is_multiple_of(2) { ("one", fixture.one, first) } else { ("two", fixture.two, second) };
        fixture.write("flip.yaml", &routes(of.0, of.1, of.2));
        of.0
    };
    write(0);
    let leader = Gateway::leader(fixture.path(), &fixture.resources());
    let worker = Gateway::worker(fixture.path(), "worker", &leader);
    let (_leader, _worker) = (leader.start_ready(), worker.start_ready());

    let mut socket = Socket::open(worker.port);
    let mut chat = runtime.block_on(Chat::open(worker.port, "/chat"));
    let http1 = Load::start(worker.port, &["/flip"], 2, Duration::from_millis(2));
    let http2 = Http2Load::start(&runtime, worker.port, "/flip", 4);
    let (mut slowest, begun) = (Duration::ZERO, Instant::now());
    for round in 1..=flips() {
        let name = write(round);
        slowest = slowest.max(until("the flip is live", || serves(&worker, name)).1);
        let text = format!("message {round}");
        socket.say(&text);
        runtime.block_on(chat.say(&text));
        // The pace is what is to be shown.
        std::thread::sleep((PACE * u32::try_from(round).unwrap()).saturating_sub(begun.elapsed()));
    }
    runtime.block_on(chat.end());
    let (http1, http2) = (http1.stop(), runtime.block_on(http2.stop()));
    figure("flips", flips());
    figure("flips_slowest_ms", slowest.as_millis());
    figure("flips_http1_requests", http1.requests);
    figure("flips_http2_requests", http2.requests);
    figure("flips_failures", http1.failures.len() + http2.failures.len());
    assert!(http1.failures.is_empty() && http2.failures.is_empty(), "{http1:?} {http2:?}");
    assert!(http1.requests > 100 && http2.requests > 100, "{http1:?} {http2:?}");
}
