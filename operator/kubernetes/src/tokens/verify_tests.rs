use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;

const NOW: u64 = 1_800_000_000;

/// An API server that signs with `key`.
struct Issuer {
    key: EncodingKey,
    keys: Keys,
}

impl Issuer {
    fn new() -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some("one".to_owned());
        let issuer = "https://kubernetes.default.svc".to_owned();
        Self { key, keys: Keys { issuer, set: JwkSet { keys: vec![jwk] } } }
    }

    fn token(&self, kid: &str, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(kid.to_owned());
        encode(&header, claims, &self.key).unwrap()
    }

    fn verify(&self, claims: &Value) -> Result<Bearer, TokenError> {
        verify(&self.token("one", claims), &self.keys, &settings(), NOW)
    }
}

fn settings() -> TokenSettings {
    TokenSettings {
        audience: "komainu".to_owned(),
        workers: Some("gateway/komainu-worker".to_owned()),
        leaders: Some("gateway/komainu-leader".to_owned()),
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://kubernetes.default.svc",
        "aud": ["komainu"],
        "exp": NOW + 60,
        "nbf": NOW - 60,
        "sub": "system:serviceaccount:gateway:komainu-worker",
        "kubernetes.io": {
            "namespace": "gateway",
            "pod": { "name": "worker-1", "uid": "u" },
            "node": { "name": "node1", "uid": "n" },
        },
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

#[test]
fn tells_the_pod_and_the_node_of_a_worker_and_of_a_leader() {
    let issuer = Issuer::new();
    let worker = Bearer { role: Role::Worker, pod: "worker-1".to_owned(), node: "node1".to_owned() };
    assert_eq!(issuer.verify(&claims()), Ok(worker.clone()));
    let leader = issuer.verify(&with("sub", json!("system:serviceaccount:gateway:komainu-leader")));
    assert_eq!(leader, Ok(Bearer { role: Role::Leader, ..worker.clone() }));
    let older = with("kubernetes.io", json!({ "pod": { "name": "worker-1" } }));
    let worker = Bearer { node: String::new(), ..worker };
    assert_eq!(issuer.verify(&older), Ok(worker.clone()), "before Kubernetes 1.30");
    let by_hand = issuer.verify(&with("kubernetes.io", json!({})));
    assert_eq!(by_hand, Ok(Bearer { pod: String::new(), ..worker }), "of a process elsewhere");
}

#[test]
fn takes_nothing_else() {
    let issuer = Issuer::new();
    let audience = TokenError::Audience("komainu".to_owned());
    assert_eq!(issuer.verify(&with("aud", json!(["https://kubernetes.default.svc"]))), Err(audience));
    let stranger = "system:serviceaccount:default:default";
    assert_eq!(issuer.verify(&with("sub", json!(stranger))), Err(TokenError::Stranger(stranger.to_owned())));
    let other_namespace = "system:serviceaccount:other:komainu-worker";
    assert!(matches!(issuer.verify(&with("sub", json!(other_namespace))), Err(TokenError::Stranger(_))));
    assert!(matches!(
        issuer.verify(&with("sub", json!("gateway/komainu-worker"))),
        Err(TokenError::Stranger(_))
    ));
    assert!(matches!(issuer.verify(&with("iss", json!("https://other"))), Err(TokenError::Malformed(_))));
    assert!(matches!(issuer.verify(&with("kubernetes.io", json!(null))), Err(TokenError::Malformed(_))));
    assert_eq!(issuer.verify(&with("exp", json!(NOW - 61))), Err(TokenError::Expired));
    assert_eq!(issuer.verify(&with("nbf", json!(NOW + 61))), Err(TokenError::Expired));
    assert!(issuer.verify(&with("exp", json!(NOW - 59))).is_ok(), "clocks differ");
}

#[test]
fn takes_no_other_signature() {
    let (issuer, other) = (Issuer::new(), Issuer::new());
    let by = |token: &str| verify(token, &issuer.keys, &settings(), NOW);
    assert!(matches!(by(&other.token("one", &claims())), Err(TokenError::Malformed(_))));
    assert_eq!(by(&issuer.token("two", &claims())), Err(TokenError::UnknownKey));
    assert!(matches!(by("no.token.this"), Err(TokenError::Malformed(_))));
    assert!(matches!(by(&"x".repeat(20_000)), Err(TokenError::Malformed(_))));
    // Signed with the public key as if that were a shared secret.
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("one".to_owned());
    let public = serde_json::to_vec(&issuer.keys.set.keys[0]).unwrap();
    let confused = encode(&header, &claims(), &EncodingKey::from_secret(&public).unwrap()).unwrap();
    assert!(matches!(by(&confused), Err(TokenError::Malformed(_))));
}

#[test]
fn without_an_account_nobodys_tokens_are_taken() {
    let issuer = Issuer::new();
    let settings = TokenSettings { workers: None, leaders: None, ..settings() };
    let verified = verify(&issuer.token("one", &claims()), &issuer.keys, &settings, NOW);
    assert!(matches!(verified, Err(TokenError::Stranger(_))));
}
