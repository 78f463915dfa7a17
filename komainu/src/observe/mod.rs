//! What is seen from outside: `/metrics`, `/health`, `/ready`, `/live`.

mod allocations;
mod cluster;
mod encode;
mod limits;
pub(crate) mod process;
mod store;
mod subscription;
mod targets;
mod traffic;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use prometheus_client::registry::Registry;
use serde::Serialize;

pub(crate) use allocations::{Allocations, Allocator, give_back};
pub(crate) use cluster::Workers;
pub(crate) use limits::Limits;
pub(crate) use store::Store;
pub(crate) use subscription::Subscription;
pub(crate) use targets::{Targets, describe as describe_targets};
pub(crate) use traffic::Traffic;

/// How a process is doing, as `/health` shows it and `/ready` judges it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Health {
    pub(crate) ready: bool,
    /// Why it isn't ready; absent if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(flatten)]
    pub(crate) details: serde_json::Map<String, serde_json::Value>,
}

/// Looks at the process at the moment of the question.
pub(crate) type Look = Arc<dyn Fn() -> Health + Send + Sync>;

struct Observed {
    registry: Registry,
    look: Look,
}

/// The endpoints for probes and scrapes. They need no credentials and tell no secrets.
pub(crate) fn router(registry: Registry, look: Look) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/live", get(|| async { Json(serde_json::json!({ "live": true })) }))
        .with_state(Arc::new(Observed { registry, look }))
}

async fn metrics(State(observed): State<Arc<Observed>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &observed.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn health(State(observed): State<Arc<Observed>>) -> Response {
    Json((observed.look)()).into_response()
}

async fn ready(State(observed): State<Arc<Observed>>) -> Response {
    let health = (observed.look)();
    let status = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(serde_json::json!({ "ready": health.ready, "reason": health.reason }))).into_response()
}
