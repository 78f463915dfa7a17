use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Query, State};
use dataplane_core::limit::Calendar;
use dataplane_snapshot::{Key, Kind};
use operator_core::usage::is_window;
use serde::Deserialize;

use super::Admin;
use super::answer::Refused;
use crate::usage::ShownUsage;

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// A day as in `2026-11-30` or a month as in `2026-11`; absent: today, in UTC.
    window: Option<String>,
    /// `namespace/name`; absent: all.
    route: Option<String>,
}

/// `GET /api/usage`: what the requests of routes came to, counted by all workers.
pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<ShownUsage>, Refused> {
    let Query(Asked { window, route }) = asked.map_err(|error| Refused::bad_request(error.body_text()))?;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let window = window.unwrap_or_else(|| Calendar::at(since_1970).day().to_string());
    if !is_window(&window) {
        return Err(Refused::bad_request(format!(
            "{window:?} is no window: write a day as 2026-11-30, or a month as 2026-11"
        )));
    }
    let key = |route: String| {
        let (namespace, name) = route
            .split_once('/')
            .ok_or_else(|| Refused::bad_request(format!("{route:?} is no route: write namespace/name")))?;
        Ok::<_, Refused>(Key::new(Kind::Route, namespace, name).to_string())
    };
    Ok(Json(admin.usage.show(&window, route.map(key).transpose()?).await?))
}
