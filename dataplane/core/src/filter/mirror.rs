use dataplane_snapshot::{Key, Kind, wire};

use super::FilterError;

/// A backend that gets copies of a share of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    pub backend: Key,
    share: Share,
}

/// A part of all requests, from none to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    numerator: u32,
    /// At least `numerator`, and not 0.
    denominator: u32,
}

impl Mirror {
    pub(super) fn parse(mirror: &wire::RequestMirror) -> Result<Self, FilterError> {
        let key: Option<Key> = mirror.backend.parse().ok();
        let backend = key
            .filter(|key| key.kind() == Kind::Backend)
            .ok_or_else(|| FilterError::Backend(mirror.backend.clone()))?;
        Ok(Self { backend, share: mirror.share.map_or(Ok(Share::ALL), Share::parse)? })
    }

    /// Whether a request is one of its share. `random` is drawn anew for each request, uniformly.
    pub fn takes(&self, random: u64) -> bool {
        self.share.takes(random)
    }
}

impl Share {
    const ALL: Self = Self { numerator: 1, denominator: 1 };

    pub fn parse(share: wire::Fraction) -> Result<Self, FilterError> {
        let wire::Fraction { numerator, denominator } = share;
        if denominator == 0 || numerator > denominator {
            return Err(FilterError::Share(numerator, denominator));
        }
        Ok(Self { numerator, denominator })
    }

    fn takes(self, random: u64) -> bool {
        // The upper half of the product is even over 0 to denominator - 1.
        let number = (u128::from(random) * u128::from(self.denominator)) >> 64;
        number < u128::from(self.numerator)
    }
}
