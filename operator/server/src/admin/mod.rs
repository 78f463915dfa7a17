//! The admin API: Backends and Routes in Otoroshi's JSON, and the status of every object.
//!
//! Reads come from the leader's world, so they show the objects of every source. A write goes to the state store, is
//! answered when it is durable, and by then is in the world too, unless planning takes longer than [`SEEN`].

mod answer;
mod dialect;
mod read;
mod status;
mod usage;
mod write;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use dataplane_snapshot::{Key, Kind};
use http::{HeaderMap, Method};
use operator_core::overview::Overviews;
use operator_core::{Observed, Owner};
use operator_store::StateStore;
use tokio::sync::watch;

use crate::Credentials;
use crate::leader::Planned;
use crate::usage::Usage;
use answer::Refused;

/// The longest accepted body, in bytes: what an object may have on its way to the workers.
pub const MAX_BODY_BYTES: usize = dataplane_snapshot::Object::MAX_BYTES;
/// How long a durable write waits to be in the world before it is answered all the same.
pub const SEEN: Duration = Duration::from_secs(2);

const TENANT: &str = "otoroshi-tenant";
const DEFAULT_TENANT: &str = "default";

/// What the admin API works on.
#[derive(Clone)]
pub struct Admin {
    pub store: Arc<dyn StateStore>,
    /// How many leaders have a store of their own each; with more than one nothing is written.
    pub leaders: u32,
    pub planned: watch::Receiver<Option<Arc<Planned>>>,
    pub overviews: watch::Receiver<Overviews>,
    pub usage: Arc<Usage>,
    pub credentials: Credentials,
}

/// `/api/backends`, `/api/routes`, `/api/status` and `/api/usage`, behind authentication.
pub fn router(admin: Admin) -> Router {
    let admin = Arc::new(admin);
    Router::new()
        .merge(entities("/api/backends", Kind::Backend))
        .merge(entities("/api/routes", Kind::Route))
        .route("/api/status", get(status::all).fallback(unsupported_method))
        .route("/api/usage", get(usage::show).fallback(unsupported_method))
        .route_layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .route_layer(from_fn_with_state(admin.clone(), authenticate))
        .with_state(admin)
}

fn entities(path: &str, kind: Kind) -> Router<Arc<Admin>> {
    let all = get(read::list).post(write::create).fallback(unsupported_method);
    let one = get(read::one).put(write::replace).delete(write::delete).fallback(unsupported_method);
    Router::new().route(path, all).route(&format!("{path}/{{id}}"), one).route_layer(Extension(kind))
}

async fn authenticate(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    if admin.credentials.are_in(request.headers()) {
        next.run(request).await
    } else {
        Refused::Unauthorized.into_response()
    }
}

async fn unsupported_method(method: Method) -> Refused {
    Refused::Method(method)
}

impl Admin {
    /// What one leader wrote into a store of its own, the others wouldn't have.
    const fn writable(&self) -> Result<&Arc<dyn StateStore>, Refused> {
        if self.leaders > 1 { Err(Refused::NoSharedStore(self.leaders)) } else { Ok(&self.store) }
    }

    fn planned(&self) -> Result<Arc<Planned>, Refused> {
        self.planned.borrow().clone().ok_or(Refused::NotReady)
    }

    /// Waits until the world has what the store wrote at `revision`.
    async fn seen(&self, kind: Kind, revision: u64) {
        let mut planned = self.planned.clone();
        let covers = |planned: &Option<Arc<Planned>>| {
            let as_of = planned.as_ref().and_then(|planned| planned.world.as_of.0.get(Owner::Store.as_str()));
            as_of.and_then(|as_of| as_of.revisions.get(&kind)).is_some_and(|seen| *seen >= revision)
        };
        if !matches!(tokio::time::timeout(SEEN, planned.wait_for(covers)).await, Ok(Ok(_))) {
            tracing::warn!(%kind, revision, "a write is durable, but not planned yet");
        }
    }
}

impl Planned {
    fn object(&self, key: &Key) -> Option<&Arc<Observed>> {
        match key.kind() {
            Kind::Backend => self.world.backends.get(key),
            Kind::Route => self.world.routes.get(key),
            _ => None,
        }
    }
}

/// The tenant that a request is about, if it says so. It is the namespace of its objects.
fn tenant(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    let Some(tenant) = headers.get(TENANT) else { return Ok(None) };
    match tenant.to_str() {
        Ok(tenant) if is_name(tenant) => Ok(Some(tenant)),
        _ => Err(Refused::bad_request(
            "the header Otoroshi-Tenant isn't a tenant: write letters, digits, - and .".to_owned(),
        )),
    }
}

fn is_name(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn key(kind: Kind, headers: &HeaderMap, id: &str) -> Result<Key, Refused> {
    Ok(Key::new(kind, tenant(headers)?.unwrap_or(DEFAULT_TENANT), id))
}

#[cfg(test)]
mod tests;
