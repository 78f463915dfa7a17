use std::io::Write as _;

use dataplane_snapshot::{Key, wire};

use super::rendezvous;
use crate::condition::is_token;
use crate::{CompiledTarget, RequestHead, cookie};

/// A cookie that brings a client back to its target. There is no table of clients: the value names the target by its
/// token, which tells nothing of the target. Who knows the names of a backend and of its targets can make the token up, as it is
/// made of them without a secret: with it, a client chooses among the targets that it may be sent to anyway, and no other.
#[derive(Clone, Debug)]
pub(crate) struct Sticky {
    name: Box<str>,
    /// In seconds; 0: until the browser ends.
    ttl: u64,
}

impl Sticky {
    /// The cookie of a backend that names none. Backends on one host need different ones, or each would take the other's
    /// value for that of a target that is gone.
    fn default_name(backend: &Key) -> Box<str> {
        format!("komainu-tracking-{:08x}", rendezvous::hash(backend.to_string().bytes()) >> 32).into()
    }

    pub(super) fn parse(backend: &Key, balancing: &wire::LoadBalancing) -> Result<Self, String> {
        let name = match &*balancing.name {
            "" => Self::default_name(backend),
            name if is_token(name) => name.into(),
            name => return Err(format!("{name:?} is not a cookie name")),
        };
        Ok(Self { name, ttl: balancing.ttl })
    }

    /// The token that the client has, if it is one.
    pub(super) fn token<H: RequestHead>(&self, head: &H) -> Option<u64> {
        head.header("cookie").flat_map(|field| cookie::values(field, self.name.as_bytes())).find_map(token)
    }

    /// Appends the field that gives the client its cookie, unless it has it already.
    pub(crate) fn write<H: RequestHead>(&self, head: &H, target: &CompiledTarget, out: &mut Vec<u8>) {
        if self.token(head) == Some(target.token) {
            return;
        }
        let secure = if head.secured() { "; Secure" } else { "" };
        // Writing into memory doesn't fail.
        let _ =
            write!(out, "set-cookie: {}={:016x}; Path=/; HttpOnly; SameSite=Lax", self.name, target.token);
        if self.ttl > 0 {
            let _ = write!(out, "; Max-Age={}", self.ttl);
        }
        let _ = write!(out, "{secure}\r\n");
    }
}

fn token(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let is_ours = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_ours.then(|| u64::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_form() {
        assert_eq!(token(b"00000000000000ff"), Some(255));
        for other in
            ["", "ff", "00000000000000FF", "+0000000000000ff", "00000000000000ff0", "000000000000000\u{e9}"]
        {
            assert_eq!(token(other.as_bytes()), None, "{other:?}");
        }
    }

    #[test]
    fn backends_have_different_cookies() {
        let name = |key: &str| Sticky::default_name(&key.parse().unwrap());
        assert!(name("backend/default/users").starts_with("komainu-tracking-"));
        assert_ne!(name("backend/default/users"), name("backend/default/orders"));
    }
}
