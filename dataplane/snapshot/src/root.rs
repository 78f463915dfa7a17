use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::Object;

/// The identity of a snapshot's content: SHA-256 of the [`SetHash`] of its objects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Root(pub [u8; 32]);

impl Root {
    /// Lower-case hexadecimal. `None` if it isn't 64 such digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut root = [0; 32];
        if text.len() != 64 || !text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        for (byte, digits) in root.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(root))
    }

    /// As the cluster endpoints name it in `ETag` and other headers (RFC 9110 section 8.8.3): in quotes, never weak.
    pub fn entity_tag(&self) -> String {
        format!("\"{self}\"")
    }

    /// The root that an entity tag names. `None`: it isn't one of ours.
    pub fn from_entity_tag(text: &str) -> Option<Self> {
        Self::from_hex(text.trim().strip_prefix('"')?.strip_suffix('"')?)
    }

    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Lanes of the set hash; 1,024 lanes of 16 bits give more than 200 bits of collision resistance (Bellare and Micciancio
/// 1997; Lewi et al. 2019, "Securing update propagation with homomorphic hashing").
const LANES: usize = 1024;

/// LtHash16: the lane-wise sum of each object's 2,048 bytes of BLAKE3 output. One edit updates it in constant time and the
/// order of edits doesn't matter. A XOF and additions, since a plain XOR or a short sum of hashes can be collided.
#[derive(Clone)]
pub struct SetHash(Box<[u16; LANES]>);

impl Default for SetHash {
    fn default() -> Self {
        Self(Box::new([0; LANES]))
    }
}

impl SetHash {
    pub fn insert(&mut self, object: &Object) {
        self.combine(object, u16::wrapping_add);
    }

    pub fn remove(&mut self, object: &Object) {
        self.combine(object, u16::wrapping_sub);
    }

    pub fn root(&self) -> Root {
        let mut hasher = Sha256::new();
        for lane in self.0.iter() {
            hasher.update(lane.to_le_bytes());
        }
        Root(hasher.finalize().into())
    }

    fn combine(&mut self, object: &Object, operation: fn(u16, u16) -> u16) {
        let mut expanded = [0; LANES * 2];
        object.digest().finalize_xof().fill(&mut expanded);
        for (lane, bytes) in self.0.iter_mut().zip(expanded.chunks_exact(2)) {
            let [low, high] = bytes else { continue };
            *lane = operation(*lane, u16::from_le_bytes([*low, *high]));
        }
    }
}

impl fmt::Debug for SetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SetHash({})", self.root())
    }
}
