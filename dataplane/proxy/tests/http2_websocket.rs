//! WebSockets over HTTP/2 (RFC 8441).
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use bytes::Bytes;
use h2::ext::Protocol;
use http::{Method, Request};
use support::http2::{self, Http2, answer, request, reset_of, within};
use support::{Setup, Upstream, block_on, field};

const SWITCH: &str = concat!(
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
);

fn connect(protocol: &'static str) -> Request<()> {
    let mut asked = request(Method::CONNECT, "/ws?room=1")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat")
        .body(())
        .unwrap();
    asked.extensions_mut().insert(Protocol::from_static(protocol));
    asked
}

/// The client may only use extended CONNECT once it has seen the setting for it.
async fn client(gateway: &support::Gateway) -> Http2 {
    let mut client = Http2::connect(gateway.address()).await;
    assert_eq!(client.get("/").await.status, 200);
    assert!(client.send.is_extended_connect_protocol_enabled());
    client
}

fn echo() -> Upstream {
    Upstream::start(|accepted| {
        let Some(head) = accepted.head() else { return };
        if !head.starts_with("GET /ws") {
            return accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        accepted.send(SWITCH);
        accepted.echo();
    })
}

#[test]
fn bytes_pass_both_ways() {
    let upstream = echo();
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = client(&gateway).await;
        let (response, mut stream) = client.begin(connect("websocket"), false).await;
        let response = within(response).await.unwrap();
        assert_eq!(response.status(), 200);
        let fields = response.headers();
        assert_eq!(fields["sec-websocket-protocol"], "chat");
        for own in ["sec-websocket-accept", "upgrade", "connection", "content-length"] {
            assert!(!fields.contains_key(own), "{own}");
        }
        let head = upstream.last();
        assert!(head.starts_with("GET /ws?room=1 HTTP/1.1\r\n"), "{head}");
        assert_eq!(
            (field(&head, "upgrade"), field(&head, "connection")),
            (Some("websocket"), Some("upgrade"))
        );
        assert_eq!(field(&head, "sec-websocket-version"), Some("13"));
        assert_eq!(field(&head, "sec-websocket-key").unwrap().len(), 24);
        assert_eq!((field(&head, "transfer-encoding"), field(&head, "host")), (None, Some("a.test")));

        let mut body = response.into_body();
        for size in [1, 100, 100_000] {
            let bytes: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
            let (sent, received) = tokio::join!(http2::send(&mut stream, &bytes, false), async {
                let mut received = Vec::new();
                while received.len() < bytes.len() {
                    let data = within(body.data()).await.unwrap().unwrap();
                    body.flow_control().release_capacity(data.len()).unwrap();
                    received.extend_from_slice(&data);
                }
                received
            });
            let () = sent;
            assert!(received == bytes);
        }
        // The client's end is handed on, and the target's comes back.
        stream.send_data(Bytes::new(), true).unwrap();
        while let Some(data) = within(body.data()).await {
            assert!(data.unwrap().is_empty());
        }
    });
    let stats = gateway.stats(|stats| stats.http2_streams == 0);
    assert_eq!((stats.upgraded, stats.panics), (1, 0));
}

#[test]
fn keys_differ() {
    let upstream = echo();
    let gateway = Setup::new(upstream.address()).start();
    let mut keys = Vec::new();
    block_on(async {
        let mut client = client(&gateway).await;
        for _ in 0..2 {
            let (response, _stream) = client.begin(connect("websocket"), false).await;
            within(response).await.unwrap();
            keys.push(field(&upstream.last(), "sec-websocket-key").unwrap().to_owned());
        }
    });
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn a_reset_ends_the_tunnel() {
    let upstream = echo();
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = client(&gateway).await;
        let (response, mut stream) = client.begin(connect("websocket"), false).await;
        let _response = within(response).await.unwrap();
        stream.send_reset(h2::Reason::CANCEL);
        client.get("/").await;
    });
    upstream.wait(|seen| seen.closed >= 1);
    gateway.stats(|stats| stats.http2_streams == 0);
}

#[test]
fn a_success_without_a_switch_is_none() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = client(&gateway).await;
        let (response, _stream) = client.begin(connect("websocket"), false).await;
        let answer = answer(response).await;
        assert_eq!((answer.status, answer.text()), (502, "no"));
    });
    assert_eq!(gateway.proxy.stats().upgraded, 0);
}

#[test]
fn other_protocols_are_refused() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = client(&gateway).await;
        let (response, _stream) = client.begin(connect("connect-udp"), false).await;
        let answer = answer(response).await;
        assert_eq!((answer.status, answer.reason()), (405, "connect_refused".to_owned()));
    });
    assert_eq!(upstream.seen().requests.len(), 1);
}

#[test]
fn a_target_that_goes_before_it_switches_is_a_bad_gateway() {
    let upstream = Upstream::start(|accepted| {
        if accepted.head().is_some_and(|head| !head.starts_with("GET /ws")) {
            accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    let gateway = Setup::new(upstream.address()).start();
    block_on(async {
        let mut client = client(&gateway).await;
        let (response, _stream) = client.begin(connect("websocket"), false).await;
        assert_eq!(answer(response).await.status, 502);
        let (response, _) = client.begin(connect("websocket"), true).await;
        // Half closed at once is as good as gone.
        assert!(reset_of(response).await.is_some());
    });
}
