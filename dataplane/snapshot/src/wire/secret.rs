use std::fmt;

/// A certificate chain. Its private key, if there is one, is the [`Secret`] of the same namespace and name.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Certificate {
    /// DER (RFC 5280), the certificate itself first.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub chain: Vec<bytes::Bytes>,
}

/// What nobody but the worker may see. It is sent over TLS or within one machine only, and never shown.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct Secret {
    #[prost(oneof = "SecretKind", tags = "1, 2")]
    pub kind: Option<SecretKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
#[prost(skip_debug)]
pub enum SecretKind {
    /// DER: PKCS #8 (RFC 5958), PKCS #1 (RFC 8017) or SEC 1 (RFC 5915).
    #[prost(bytes = "bytes", tag = "1")]
    PrivateKey(bytes::Bytes),
    #[prost(string, tag = "2")]
    Password(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Debug for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrivateKey(_) => "PrivateKey(…)",
            Self::Password(_) => "Password(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Payload, State};
    use super::*;
    use crate::{AsOf, Key, Kind, Object, Snapshot};

    #[test]
    fn is_never_shown() {
        let secret = Secret { kind: Some(SecretKind::Password("hunter2".to_owned())) };
        assert_eq!(format!("{secret:?} {:?}", secret.kind), "Secret(…) Some(Password(…))");
        let key = Key::new(Kind::Secret, "default", "a");
        let object = Object::encode(key, &Payload::Secret(secret.clone()).into());
        let snapshot = Snapshot::new([object.clone()], AsOf::default());
        let state = State::from_snapshot(&snapshot);
        let payload = object.decode();
        let shown = format!("{object:?} {snapshot:?} {state:?} {payload:?}");
        let bytes = b"hunter2".map(|byte| byte.to_string()).join(", ");
        assert!(!shown.contains("hunter2") && !shown.contains(&bytes), "{shown}");
        assert!(shown.contains("secret/default/a"), "{shown}");
    }
}
