use dataplane_snapshot::wire;

use super::{FilterError, Refused};

/// How large a request may be. `None`: no other limit than the proxy's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestLimits {
    /// Bytes of the body, without its framing.
    pub body: Option<u64>,
    /// Bytes of the head.
    head: Option<u32>,
    /// Header fields.
    fields: Option<u32>,
}

/// What is known of a request's size when its head is there.
#[derive(Clone, Copy, Debug)]
pub struct RequestSize {
    pub head: usize,
    pub fields: usize,
    /// 0 if only the body itself will tell.
    pub body: u64,
}

impl RequestLimits {
    pub fn parse(limits: &wire::RequestLimits) -> Result<Self, FilterError> {
        for limit in [limits.head.map(u64::from), limits.fields.map(u64::from)].into_iter().flatten() {
            if limit == 0 {
                return Err(FilterError::Limit(limit));
            }
        }
        Ok(Self { body: limits.body, head: limits.head, fields: limits.fields })
    }

    pub(super) fn check(&self, size: RequestSize) -> Result<(), Refused> {
        let over =
            |limit: Option<u32>, size: usize| limit.is_some_and(|limit| u64::from(limit) < size as u64);
        if over(self.head, size.head) || over(self.fields, size.fields) {
            return Err(Refused::Head);
        }
        if self.body.is_some_and(|limit| size.body > limit) { Err(Refused::Body) } else { Ok(()) }
    }
}
