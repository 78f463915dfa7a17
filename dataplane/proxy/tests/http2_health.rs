//! Health checks by HTTP/2: of gRPC, and of targets that speak nothing else.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here fails the test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use dataplane_core::health::{Colour, Standing};
use dataplane_proxy::TargetHealth;
use dataplane_snapshot::wire;
use http::{HeaderMap, Response};
use support::http2_upstream::Asked;
use support::{Gateway, Http2Upstream, Setup, eventually};

const SERVING: u8 = 1;
const NOT_SERVING: u8 = 2;

/// Says of `users.v1.Users` what `status` is, and knows no other service.
fn server(status: Arc<AtomicU8>) -> Http2Upstream {
    Http2Upstream::start(move |asked| {
        let status = status.clone();
        async move {
            if asked.path() == "/grpc.health.v1.Health/Check" {
                check(asked, status.load(Ordering::SeqCst)).await;
            } else {
                asked.answer("ok");
            }
        }
    })
}

async fn check(mut asked: Asked, status: u8) {
    assert_eq!(
        (asked.request.method().as_str(), &asked.request.headers()["te"]),
        ("POST", &"trailers".parse().unwrap())
    );
    assert_eq!(asked.request.headers()["content-type"], "application/grpc");
    let (body, _) = asked.read().await;
    let head = Response::builder().header("content-type", "application/grpc");
    if !body.ends_with(b"users.v1.Users") {
        // Without a message the status is in the head.
        asked.head(head.header("grpc-status", "5"), true);
        return;
    }
    let mut stream = asked.head(head, false);
    stream.send_data(Bytes::from(vec![0, 0, 0, 0, 2, 8, status]), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    stream.send_trailers(trailers).unwrap();
}

fn start(upstream: &Http2Upstream, check: wire::HealthCheck) -> Gateway {
    let mut setup = Setup::new(upstream.address()).http2();
    setup.backend.health_check = Some(wire::HealthCheck { interval: 20, timeout: 1_000, ..check }.into());
    // So that an unhealthy target gets nothing, although it is the only one.
    setup.backend.panic_threshold = Some(0);
    setup.start()
}

fn grpc(service: &str) -> wire::HealthCheck {
    wire::HealthCheck {
        kind: wire::HealthCheckKind::Grpc.into(),
        service: service.into(),
        ..Default::default()
    }
}

fn wait(gateway: &Gateway, standing: Standing) -> TargetHealth {
    eventually(|| gateway.proxy.health().into_iter().find(|health| health.standing == standing))
}

#[test]
fn a_target_gets_traffic_while_its_service_serves() {
    let status = Arc::new(AtomicU8::new(SERVING));
    let upstream = server(status.clone());
    let gateway = start(&upstream, grpc("users.v1.Users"));
    assert_eq!(wait(&gateway, Standing::In).colour, Colour::Green);
    assert_eq!(gateway.client().get("/").status, 200);
    status.store(NOT_SERVING, Ordering::SeqCst);
    let out = wait(&gateway, Standing::Out);
    assert_eq!((out.colour, out.reason.as_str()), (Colour::Red, "NOT_SERVING"));
    assert_eq!(gateway.client().get("/").reason(), "no_target");
    status.store(SERVING, Ordering::SeqCst);
    wait(&gateway, Standing::In);
}

#[test]
fn a_service_that_nobody_knows_is_unhealthy() {
    let upstream = server(Arc::new(AtomicU8::new(SERVING)));
    let gateway = start(&upstream, grpc("users.v1.Other"));
    assert_eq!(wait(&gateway, Standing::Out).reason, "grpc-status 5");
}

#[test]
fn a_target_of_http_2_is_asked_by_http_2_for_a_path_too() {
    let upstream = server(Arc::new(AtomicU8::new(SERVING)));
    let gateway = start(&upstream, wire::HealthCheck { url: "/health".into(), ..Default::default() });
    let health = wait(&gateway, Standing::In);
    assert_eq!((health.colour, health.reason.as_str()), (Colour::Green, "status 200"));
    assert_eq!(upstream.seen().requests[0].uri().path(), "/health");
}
