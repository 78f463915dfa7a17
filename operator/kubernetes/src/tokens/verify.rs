//! Whether a token is one of a worker or of a leader. Pure: time is an argument.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use operator_core::session::{Bearer, Role};
use serde::Deserialize;

/// How far two clocks may be apart, in seconds.
const LEEWAY: u64 = 60;
/// What API servers sign with (`--service-account-signing-key-file`); no secret that is shared.
const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::ES256, Algorithm::ES384];
/// The longest token, in bytes. Those of Kubernetes have about 1,000.
const MAX_TOKEN: usize = 16 * 1024;

/// Whose tokens are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenSettings {
    /// What a token must be made for (`audience` of the projection).
    pub audience: String,
    /// The service accounts of workers and of leaders, each as `namespace/name`; without one nobody's are taken.
    pub workers: Option<String>,
    pub leaders: Option<String>,
}

/// Why a token isn't taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the API server's keys aren't known yet")]
    NoKeys,
    #[error("it is signed by a key that the API server doesn't tell of")]
    UnknownKey,
    #[error("it isn't a token of a service account: {0}")]
    Malformed(String),
    #[error("it has expired")]
    Expired,
    #[error("it isn't made for the audience {0}: set `audience` in the pod's projected token")]
    Audience(String),
    #[error("it is of {0}, which is no service account of workers or leaders")]
    Stranger(String),
}

/// Who signs, as the API server tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, Deserialize)]
pub(super) struct Keys {
    pub(super) issuer: String,
    pub(super) set: JwkSet,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
    #[serde(default)]
    nbf: u64,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Bound,
}

/// What a token is bound to: a pod, unless it was made by hand (KEP-4193 added the node).
#[derive(Deserialize)]
struct Bound {
    #[serde(default)]
    pod: Reference,
    #[serde(default)]
    node: Reference,
}

#[derive(Default, Deserialize)]
struct Reference {
    name: String,
}

/// Who shows this token at `now`, in seconds since 1970.
pub(super) fn verify(
    token: &str,
    keys: &Keys,
    settings: &TokenSettings,
    now: u64,
) -> Result<Bearer, TokenError> {
    if token.len() > MAX_TOKEN {
        return Err(TokenError::Malformed(format!("it is longer than {MAX_TOKEN} bytes")));
    }
    let malformed = |error: jsonwebtoken::errors::Error| TokenError::Malformed(error.to_string());
    let header = decode_header(token).map_err(malformed)?;
    let key = header.kid.as_deref().and_then(|kid| keys.set.find(kid)).ok_or(TokenError::UnknownKey)?;
    let key = DecodingKey::from_jwk(key).map_err(malformed)?;
    // Those of one family with the key: the algorithm is no choice of whoever shows the token.
    let allowed = ALGORITHMS.into_iter().filter(|algorithm| algorithm.family() == key.family());
    let mut validation = Validation::new(Algorithm::RS256);
    validation.algorithms = allowed.collect();
    validation.set_audience(&[&settings.audience]);
    validation.set_issuer(&[&keys.issuer]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    // By the time that is given, below.
    (validation.validate_exp, validation.validate_nbf) = (false, false);
    let claims = decode::<Claims>(token, &key, &validation).map_err(|error| match error.kind() {
        ErrorKind::InvalidAudience => TokenError::Audience(settings.audience.clone()),
        _ => malformed(error),
    })?;
    let Claims { sub, exp, nbf, kubernetes } = claims.claims;
    if now > exp.saturating_add(LEEWAY) || now.saturating_add(LEEWAY) < nbf {
        return Err(TokenError::Expired);
    }
    let role = settings.role_of(&sub).ok_or(TokenError::Stranger(sub))?;
    Ok(Bearer { role, pod: kubernetes.pod.name, node: kubernetes.node.name })
}

impl TokenSettings {
    /// Of the user name `system:serviceaccount:NAMESPACE:NAME`.
    fn role_of(&self, subject: &str) -> Option<Role> {
        let account = subject.strip_prefix("system:serviceaccount:")?.replacen(':', "/", 1);
        let is = |one: &Option<String>| one.as_ref() == Some(&account);
        if is(&self.leaders) { Some(Role::Leader) } else { is(&self.workers).then_some(Role::Worker) }
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
