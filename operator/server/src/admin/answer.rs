use axum::Json;
use axum::response::{IntoResponse, Response};
use dataplane_snapshot::Key;
use http::{Method, StatusCode, header};
use operator_core::{Origin, Problem};
use operator_store::StoreError;
use serde_json::{Value, json};

/// Why a request isn't done. Statuses and the word in `error` are Otoroshi's where it has the case.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error(
        "send the client id and secret by HTTP Basic, or as Otoroshi-Client-Id and Otoroshi-Client-Secret"
    )]
    Unauthorized,
    #[error("{0} isn't supported here")]
    Method(Method),
    #[error("the leader hasn't heard from all of its sources yet; try again in a moment")]
    NotReady,
    #[error("the body has more than {} bytes", super::MAX_BODY_BYTES)]
    TooLarge,
    #[error("{0}")]
    BadRequest(String),
    #[error("{}", sentences(.0))]
    Invalid(Vec<Problem>),
    #[error("entity not found")]
    NotFound { deleting: bool },
    #[error("Entity already exists: replace it by PUT")]
    Exists,
    #[error("{key} {}", belongs_to(.origin))]
    Foreign { key: Key, origin: Origin },
    #[error(
        "{0} leaders have a store each: write the object where its source is, as a custom resource for instance, or run one \
         leader, or give all of them one store by the setting store.url"
    )]
    NoSharedStore(u32),
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl Refused {
    pub(super) const fn bad_request(message: String) -> Self {
        Self::BadRequest(message)
    }

    /// The status and Otoroshi's word for it.
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "bad_format"),
            Self::NotFound { deleting: false } => (StatusCode::NOT_FOUND, "not_found"),
            Self::NotFound { deleting: true } => (StatusCode::NOT_FOUND, "delete_error"),
            // Otoroshi says `not_found` when an entity exists; a word that misleads isn't worth being compatible with.
            Self::Exists => (StatusCode::BAD_REQUEST, "already_exists"),
            Self::Foreign { .. } => (StatusCode::CONFLICT, "conflict"),
            Self::Store(StoreError::Conflict { .. }) => {
                (StatusCode::PRECONDITION_FAILED, "changed_meanwhile")
            }
            Self::NoSharedStore(_) => (StatusCode::CONFLICT, "no_shared_store"),
            Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, error) = self.kind();
        if let Self::Store(error) = &self {
            tracing::warn!(%error, "the admin API refused a write");
        }
        let mut body = json!({ "error": error, "error_description": self.to_string() });
        if let (Self::Invalid(problems), Value::Object(body)) = (&self, &mut body) {
            let problem = |problem: &Problem| json!({ "field": problem.field, "message": problem.message });
            body.insert("problems".to_owned(), problems.iter().map(problem).collect());
        }
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = http::HeaderValue::from_static("Basic realm=\"komainu\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

fn sentences(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

fn belongs_to(origin: &Origin) -> String {
    match origin {
        Origin::Kubernetes => "belongs to Kubernetes: change the custom resource".to_owned(),
        Origin::File(place) => format!("belongs to the file {place}: change it there"),
        Origin::Store => "belongs to the admin API".to_owned(),
    }
}
