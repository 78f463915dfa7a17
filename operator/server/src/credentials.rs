use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Some clients of Otoroshi send base64 without its padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

const CLIENT_ID: &str = "otoroshi-client-id";
const CLIENT_SECRET: &str = "otoroshi-client-secret";

/// The client id and secret that the admin API and the cluster endpoints ask for. Only their hashes are kept, which are of
/// one length, so that a comparison takes the same time whatever was sent.
#[derive(Clone)]
pub struct Credentials {
    id: [u8; 32],
    secret: [u8; 32],
}

impl Credentials {
    pub fn new(id: &str, secret: &str) -> Self {
        Self { id: Sha256::digest(id).into(), secret: Sha256::digest(secret).into() }
    }

    /// Whether a request carries them: HTTP Basic (RFC 7617), or the headers `Otoroshi-Client-Id` and
    /// `Otoroshi-Client-Secret`. One `Authorization` header at most.
    pub fn are_in(&self, headers: &HeaderMap) -> bool {
        let mut authorizations = headers.get_all(AUTHORIZATION).iter();
        if let Some(authorization) = authorizations.next() {
            let sent = authorizations.next().is_none().then(|| basic(authorization.as_bytes())).flatten();
            return sent.is_some_and(|(id, secret)| self.are(&id, &secret));
        }
        match (headers.get(CLIENT_ID), headers.get(CLIENT_SECRET)) {
            (Some(id), Some(secret)) => self.are(id.as_bytes(), secret.as_bytes()),
            _ => false,
        }
    }

    fn are(&self, id: &[u8], secret: &[u8]) -> bool {
        let id = self.id.ct_eq(Sha256::digest(id).as_slice());
        let secret = self.secret.ct_eq(Sha256::digest(secret).as_slice());
        (id & secret).into()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// Id and secret of a Basic `Authorization` header. The id has no colon, the secret may have some.
fn basic(header: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, rest) = header.split_at_checked("Basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    let decoded = LENIENT.decode(rest.trim_ascii()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (id, secret) = decoded.split_at_checked(colon)?;
    Some((id.to_vec(), secret.get(1..)?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Credentials::new("an-id", "a:secret").are_in(&map)
    }

    #[test]
    fn takes_basic_with_and_without_padding() {
        // "an-id:a:secret"
        assert!(sent(&[("authorization", "Basic YW4taWQ6YTpzZWNyZXQ=")]));
        assert!(sent(&[("authorization", "basic YW4taWQ6YTpzZWNyZXQ")]));
    }

    #[test]
    fn takes_the_two_headers() {
        assert!(sent(&[("otoroshi-client-id", "an-id"), ("otoroshi-client-secret", "a:secret")]));
    }

    #[test]
    fn refuses_everything_else() {
        for headers in [
            &[][..],
            &[("authorization", "")],
            &[("authorization", "Basic ")],
            &[("authorization", "Basic !!!!")],
            &[("authorization", "Basic YW4taWQ")],
            &[("authorization", "Bearer YW4taWQ6YTpzZWNyZXQ=")],
            // "an-id:a:secre" and ":"
            &[("authorization", "Basic YW4taWQ6YTpzZWNyZQ==")],
            &[("authorization", "Basic Og==")],
            &[("authorization", "Basic YW4taWQ6YTpzZWNyZXQ="), ("authorization", "Basic Og==")],
            &[("otoroshi-client-id", "an-id")],
            &[("otoroshi-client-id", "an-id"), ("otoroshi-client-secret", "a:secrets")],
            // A wrong Authorization isn't saved by good headers.
            &[
                ("authorization", "Basic Og=="),
                ("otoroshi-client-id", "an-id"),
                ("otoroshi-client-secret", "a:secret"),
            ],
        ] {
            assert!(!sent(headers), "{headers:?}");
        }
    }
}
