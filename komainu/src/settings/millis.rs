use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A span of time in a setting: `2s`, `250ms`, or a bare number of milliseconds as on Otoroshi's clustering page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Millis(pub(crate) u64);

impl Millis {
    pub(crate) const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crds::Duration::from_millis(self.0).fmt(f)
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(millis) => Ok(Self(millis)),
            Written::Text(text) => match text.parse() {
                Ok(millis) => Ok(Self(millis)),
                Err(_) => text
                    .parse::<crds::Duration>()
                    .map(|duration| Self(duration.as_millis()))
                    .map_err(serde::de::Error::custom),
            },
        }
    }
}
