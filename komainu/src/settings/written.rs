//! Values as people write them: the environment and the command line know only text.

use std::fmt::Display;
use std::str::FromStr;

use serde::Deserialize as _;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::Value;

use super::Mode;

/// A number or a truth value, also as text.
pub(super) fn plain<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + FromStr<Err: Display>,
{
    match Value::deserialize(deserializer)? {
        Value::String(text) => {
            text.trim().parse().map_err(|error| D::Error::custom(format!("{text:?}: {error}")))
        }
        other => serde_json::from_value(other).map_err(D::Error::custom),
    }
}

/// [`plain`], or nothing.
pub(super) fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + FromStr<Err: Display>,
{
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        other => plain(other).map(Some).map_err(D::Error::custom),
    }
}

/// Texts, also as one with commas: within the items of a list nobody else takes that apart.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => {
            Ok(text.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect())
        }
        other => serde_json::from_value(other).map_err(D::Error::custom),
    }
}

/// A mode in whatever case: Otoroshi takes `Leader` and `leader`.
pub(super) fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mode, D::Error> {
    let text = String::deserialize(deserializer)?.to_lowercase();
    serde_json::from_value(Value::String(text)).map_err(D::Error::custom)
}

/// A text that no error message repeats.
pub(super) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(D::Error::custom("isn't text: write it in quotes")),
    }
}
