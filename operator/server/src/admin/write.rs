use std::sync::Arc;

use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use dataplane_snapshot::{Key, Kind};
use http::{HeaderMap, StatusCode, header};
use operator_core::{Observed, Owner};
use operator_store::{Expected, StoreError};
use serde_json::{Map, Value, json};

use super::answer::Refused;
use super::dialect::{draft, parse};
use super::read::show;
use super::{Admin, DEFAULT_TENANT, key, tenant};

type Body = Result<Bytes, BytesRejection>;

/// `POST /api/backends`, `POST /api/routes`. An entity without an id is given one.
pub(super) async fn create(
    State(admin): State<Arc<Admin>>,
    Extension(kind): Extension<Kind>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let mut fields = parse(&content(body)?)?;
    let id = fields.entry("id").or_insert(Value::Null);
    if id.is_null() {
        *id = Value::String(format!("{kind}_{}", uuid::Uuid::new_v4()));
    }
    // What isn't a text is told with everything else that is wrong.
    let id = id.as_str().unwrap_or_default().to_owned();
    let written = write(&admin, &key(kind, &headers, &id)?, &headers, fields, Expected::Absent).await?;
    Ok((StatusCode::CREATED, show(&written)).into_response())
}

/// `PUT /api/backends/{id}`, `PUT /api/routes/{id}`. The id is that of the path, whatever the body says.
pub(super) async fn replace(
    State(admin): State<Arc<Admin>>,
    Extension(kind): Extension<Kind>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let mut fields = parse(&content(body)?)?;
    let expected = condition(&headers)?;
    fields.insert("id".to_owned(), Value::String(id.clone()));
    let written = write(&admin, &key(kind, &headers, &id)?, &headers, fields, expected).await?;
    Ok(show(&written))
}

/// `DELETE /api/backends/{id}`, `DELETE /api/routes/{id}`. Also for an entity that another source's object of the same name
/// hides.
pub(super) async fn delete(
    State(admin): State<Arc<Admin>>,
    Extension(kind): Extension<Kind>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let key = key(kind, &headers, &id)?;
    let planned = admin.planned()?;
    let revision = match admin.writable()?.delete(&key, condition(&headers)?).await {
        Ok(revision) => revision,
        Err(StoreError::NotFound { .. }) => {
            refuse_foreign(planned.object(&key))?;
            return Err(Refused::NotFound { deleting: true });
        }
        Err(error) => return Err(error.into()),
    };
    admin.seen(kind, revision).await;
    Ok(Json(json!({ "deleted": true })).into_response())
}

async fn write(
    admin: &Admin,
    key: &Key,
    headers: &HeaderMap,
    mut fields: Map<String, Value>,
    expected: Expected,
) -> Result<Observed, Refused> {
    // Ownership can be told only when all sources have been heard.
    let planned = admin.planned()?;
    refuse_foreign(planned.object(key))?;
    if let Some(tenant) = tenant(headers)?
        && tenant != DEFAULT_TENANT
    {
        fields.entry("_loc").or_insert_with(|| json!({ "tenant": tenant }));
    }
    let (draft, mut observed) = draft(key, fields, planned.world.has_cluster)?;
    let stored = admin.writable()?.put(key, expected, draft).await.map_err(|error| match error {
        StoreError::Exists { .. } => Refused::Exists,
        StoreError::NotFound { .. } => Refused::NotFound { deleting: false },
        error => error.into(),
    })?;
    admin.seen(key.kind(), stored.revision).await;
    let observed = Arc::make_mut(&mut observed);
    observed.generation = stored.generation;
    Ok(observed.clone())
}

fn refuse_foreign(current: Option<&Arc<Observed>>) -> Result<(), Refused> {
    match current {
        Some(object) if object.origin.owner() != Owner::Store => {
            Err(Refused::Foreign { key: object.key.clone(), origin: object.origin.clone() })
        }
        _ => Ok(()),
    }
}

/// `If-Match` as the `ETag` of an answer; without it the last writer wins, as in Otoroshi.
fn condition(headers: &HeaderMap) -> Result<Expected, Refused> {
    let Some(etag) = headers.get(header::IF_MATCH) else { return Ok(Expected::Present) };
    let text = etag.to_str().unwrap_or_default();
    let revision = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    match revision.parse() {
        Ok(revision) => Ok(Expected::Revision(revision)),
        Err(_) if text == "*" => Ok(Expected::Present),
        Err(_) => {
            Err(Refused::bad_request(format!("If-Match is {text:?}: send the ETag of an earlier answer")))
        }
    }
}

fn content(body: Body) -> Result<Bytes, Refused> {
    body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refused::TooLarge,
        _ => Refused::bad_request(format!("the body can't be read: {error}")),
    })
}
