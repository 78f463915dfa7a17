use std::fmt;
use std::str::FromStr;

/// A span of time as Kubernetes users write it: `250ms`, `2s`, `1m30s`, `1h` (GEP-2257). Whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(std::time::Duration);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: write for instance 250ms, 2s or 1m30s")]
pub struct DurationError(pub String);

impl Duration {
    /// The longest one that can be written: five digits of hours.
    pub const MAX: Self = Self(std::time::Duration::from_secs(99_999 * 3_600));

    /// At most [`Duration::MAX`].
    pub const fn from_millis(millis: u64) -> Self {
        if millis > 99_999 * 3_600_000 { Self::MAX } else { Self(std::time::Duration::from_millis(millis)) }
    }

    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    /// GEP-2257: one to four of `<digits><unit>` with h, m, s, ms; at most 5 digits each.
    fn from_str(text: &str) -> Result<Self, DurationError> {
        let error = || DurationError(text.to_owned());
        let mut rest = text;
        let mut millis: u64 = 0;
        let mut parts = 0;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at_checked(digits).ok_or_else(error)?;
            if digits == 0 || digits > 5 {
                return Err(error());
            }
            let number: u64 = number.parse().map_err(|_| error())?;
            let units = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
            let (unit, scale) =
                units.into_iter().find(|(unit, _)| tail.starts_with(unit)).ok_or_else(error)?;
            millis = millis.saturating_add(number.saturating_mul(scale));
            rest = tail.strip_prefix(unit).unwrap_or_default();
            parts += 1;
        }
        let duration = Self::from_millis(millis);
        if parts == 0 || parts > 4 || duration.as_millis() != millis { Err(error()) } else { Ok(duration) }
    }
}

impl fmt::Display for Duration {
    /// The largest unit that divides it: `90s` rather than `1m30s`; in several parts where that has more than 5 digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.as_millis();
        if millis == 0 {
            return f.write_str("0s");
        }
        let units = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
        if let Some((unit, scale)) = units.into_iter().find(|(_, scale)| millis.is_multiple_of(*scale))
            && millis / scale <= 99_999
        {
            return write!(f, "{}{unit}", millis / scale);
        }
        let mut rest = millis;
        for (unit, scale) in units.into_iter().filter(|(_, scale)| millis >= *scale) {
            let (count, left) = (rest / scale, rest % scale);
            rest = left;
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl serde::Serialize for Duration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Duration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": 32,
            // A rule rather than `pattern`: the API server then answers with the sentence.
            "x-kubernetes-validations": [{
                "rule": "self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$')",
                "message": "a duration is whole numbers with units h, m, s or ms: for instance 250ms, 2s or 1m30s",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(text: &str) -> Option<u64> {
        text.parse::<Duration>().ok().map(Duration::as_millis)
    }

    #[test]
    fn reads_what_kubernetes_users_write() {
        assert_eq!(millis("250ms"), Some(250));
        assert_eq!(millis("1m30s"), Some(90_000));
        assert_eq!(millis("1h2m3s4ms"), Some(3_723_004));
        assert_eq!(millis("99999h"), Some(Duration::MAX.as_millis()));
    }

    #[test]
    fn refuses_the_rest_with_an_example_of_what_is_right() {
        for text in ["", "5", "s", "1.5s", "-1s", "1 s", "100000ms", "1s1s1s1s1s", "1d", "99999h1ms", "1S"] {
            let error = text.parse::<Duration>().unwrap_err();
            assert!(error.to_string().contains("write for instance 250ms"), "{text:?}: {error}");
        }
    }

    #[test]
    fn prints_the_largest_unit_that_divides_it() {
        let print = |millis| Duration::from_millis(millis).to_string();
        assert_eq!(
            [0, 50, 2_000, 90_000, 120_000, 3_600_000].map(print),
            ["0s", "50ms", "2s", "90s", "2m", "1h"]
        );
        assert_eq!([120_001, 100_000_000].map(print), ["2m1ms", "27h46m40s"]);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_as_the_same(millis in 0..=Duration::MAX.as_millis()) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }
    }
}
