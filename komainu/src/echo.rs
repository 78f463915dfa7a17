//! A small upstream for demos and tests: it says who it is and what it was asked.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use axum::body::Body;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use serde::Serialize;

use crate::args::EchoArguments;

/// The longest answer of `/bytes/N`.
const MAX_BYTES: usize = 1 << 30;

#[derive(Serialize)]
struct Echo {
    name: String,
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
}

pub(crate) fn run(arguments: EchoArguments) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(arguments.listen)
            .await
            .with_context(|| format!("can't listen on {}", arguments.listen))?;
        let stop = crate::shutdown::on_signal()?;
        axum::serve(listener, router(arguments.name.into()))
            .with_graceful_shutdown(crate::shutdown::asked(stop))
            .await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// What answers as `name`.
pub(crate) fn router(name: Arc<str>) -> Router {
    Router::new()
        .route("/status/{code}", any(status))
        .route("/delay/{time}", any(delay))
        .route("/bytes/{count}", any(bytes))
        .fallback(echo_or_socket)
        .with_state(name)
}

async fn echo_or_socket(name: State<Arc<str>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    if let Ok(upgrade) =
        <WebSocketUpgrade as axum::extract::FromRequestParts<()>>::from_request_parts(&mut parts, &()).await
    {
        return upgrade.on_upgrade(send_back);
    }
    drop(axum::body::to_bytes(body, MAX_BYTES).await);
    echo(name, parts.method, parts.uri, parts.headers).await
}

async fn echo(State(name): State<Arc<str>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Json(Echo { name: name.to_string(), method: method.to_string(), path: uri.to_string(), headers })
        .into_response()
}

async fn status(Path(code): Path<u16>) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST)
}

async fn delay(
    Path(time): Path<String>,
    name: State<Arc<str>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    match time.parse::<crds::Duration>() {
        Ok(time) => {
            tokio::time::sleep(std::time::Duration::from_millis(time.as_millis())).await;
            echo(name, method, uri, headers).await
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn bytes(Path(count): Path<usize>) -> Response {
    if count > MAX_BYTES {
        return (StatusCode::BAD_REQUEST, format!("at most {MAX_BYTES} bytes")).into_response();
    }
    Body::from(vec![b'x'; count]).into_response()
}

async fn send_back(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let sent = match message {
            Message::Text(_) | Message::Binary(_) => socket.send(message).await,
            Message::Close(_) => return,
            Message::Ping(_) | Message::Pong(_) => Ok(()),
        };
        if sent.is_err() {
            return;
        }
    }
}
