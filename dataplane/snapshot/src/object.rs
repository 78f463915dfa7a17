use std::fmt;

use bytes::Bytes;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::{Key, wire};

/// SHA-256 of an object's bytes as sent.
pub type ObjectHash = [u8; 32];

/// One object of a snapshot: its key and its encoded payload. The bytes are what the maker encoded; a receiver keeps and
/// hashes them as they came and never encodes again, so an older peer passes on fields that it doesn't know.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    key: Key,
    bytes: Bytes,
    hash: ObjectHash,
}

/// Bytes that aren't an object of the kind that the key names.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("{key} can't be decoded: {source}")]
    Malformed { key: Key, source: prost::DecodeError },
    #[error("{key} has no payload that this version knows")]
    Unknown { key: Key },
    #[error("{key} carries the payload of another kind")]
    WrongKind { key: Key },
}

impl fmt::Debug for Object {
    /// Without the bytes, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = self.hash.iter().take(8).fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
        write!(f, "{} ({} bytes, {hash:016x})", self.key, self.bytes.len())
    }
}

impl Object {
    /// The longest accepted encoding, in bytes.
    pub const MAX_BYTES: usize = 1 << 20;

    pub fn new(key: Key, bytes: Bytes) -> Self {
        let hash = Sha256::digest(&bytes).into();
        Self { key, bytes, hash }
    }

    pub fn encode(key: Key, content: &wire::Content) -> Self {
        Self::new(key, content.encode_to_vec().into())
    }

    pub const fn key(&self) -> &Key {
        &self.key
    }

    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub const fn hash(&self) -> &ObjectHash {
        &self.hash
    }

    /// Of key and content.
    pub(crate) fn digest(&self) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new();
        // The length keeps the boundary between key and hash unambiguous.
        let key = self.key.to_string();
        hasher.update(&(key.len() as u64).to_le_bytes()).update(key.as_bytes()).update(&self.hash);
        hasher
    }

    /// The same object, without looking at its content.
    pub(crate) fn is_shared_with(&self, other: &Self) -> bool {
        self.bytes.len() == other.bytes.len() && self.bytes.as_ptr() == other.bytes.as_ptr()
    }

    /// The payload, checked to be of the key's kind. [`wire::Payload::Held`] fits every kind.
    pub fn decode(&self) -> Result<wire::Payload, DecodeError> {
        let content = wire::Content::decode(self.bytes.clone())
            .map_err(|source| DecodeError::Malformed { key: self.key.clone(), source })?;
        let payload = content.payload.ok_or_else(|| DecodeError::Unknown { key: self.key.clone() })?;
        if payload.kind().is_some_and(|kind| kind != self.key.kind()) {
            return Err(DecodeError::WrongKind { key: self.key.clone() });
        }
        Ok(payload)
    }
}
