use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::{Extension, Json};
use dataplane_snapshot::Kind;
use http::{HeaderMap, header};
use operator_core::{Observed, Owner};

use super::answer::Refused;
use super::dialect::to_json;
use super::{Admin, key, tenant};

/// What Otoroshi says where a list has no pages.
const ALL: usize = 2_147_483_647;

/// `GET /api/backends`, `GET /api/routes`: the objects of every source, of one tenant if the request names one.
pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    Extension(kind): Extension<Kind>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let page = Page::read(&query)?;
    let tenant = tenant(&headers)?;
    let planned = admin.planned()?;
    let objects = if kind == Kind::Backend { &planned.world.backends } else { &planned.world.routes };
    let of_tenant = |object: &&Arc<Observed>| tenant.is_none_or(|tenant| object.key.namespace() == tenant);
    let count = objects.values().filter(of_tenant).count();
    let offset = (page.number - 1).saturating_mul(page.size);
    let shown: Vec<_> = objects
        .values()
        .filter(of_tenant)
        .skip(offset)
        .take(page.size)
        .map(|object| to_json(object))
        .collect();
    let headers = AppendHeaders([
        ("x-count", count.to_string()),
        ("x-offset", offset.to_string()),
        ("x-page", page.number.to_string()),
        ("x-page-size", page.size.to_string()),
    ]);
    Ok((headers, Json(shown)).into_response())
}

/// `GET /api/backends/{id}`, `GET /api/routes/{id}`
pub(super) async fn one(
    State(admin): State<Arc<Admin>>,
    Extension(kind): Extension<Kind>,
    Path(id): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    if let Some(name) = query.keys().next() {
        return Err(unsupported(name));
    }
    let key = key(kind, &headers, &id)?;
    let planned = admin.planned()?;
    let object = planned.object(&key).ok_or(Refused::NotFound { deleting: false })?;
    Ok(show(object))
}

/// An entity, with its `ETag` if it can be written here.
pub(super) fn show(object: &Observed) -> Response {
    let mut response = Json(to_json(object)).into_response();
    // In the store the generation is the revision of the last change.
    if object.origin.owner() == Owner::Store
        && let Ok(etag) = format!("\"{}\"", object.generation).parse()
    {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

fn unsupported(parameter: &str) -> Refused {
    Refused::bad_request(format!("the query parameter {parameter} is not supported yet"))
}

/// A part of a list; pages count from 1.
struct Page {
    number: usize,
    size: usize,
}

impl Page {
    fn read(query: &BTreeMap<String, String>) -> Result<Self, Refused> {
        let mut page = Self { number: 1, size: ALL };
        for (name, value) in query {
            let field = match name.as_str() {
                "page" => &mut page.number,
                "pageSize" => &mut page.size,
                _ => return Err(unsupported(name)),
            };
            *field = value.parse().ok().filter(|number| (1..=ALL).contains(number)).ok_or_else(|| {
                Refused::bad_request(format!(
                    "the query parameter {name} is {value:?}: write a number from 1 on"
                ))
            })?;
        }
        Ok(page)
    }
}
