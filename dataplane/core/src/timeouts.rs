use std::time::Duration;

use dataplane_snapshot::wire;

use crate::Glob;

/// How long the parts of a request may take; `None`: as long as they want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection to the target stands.
    pub connection: Option<Duration>,
    /// Without a byte in either direction.
    pub idle: Option<Duration>,
    /// Until the head of the target's response.
    pub call: Option<Duration>,
    /// Until the end of the target's response.
    pub call_and_stream: Option<Duration>,
    /// For the whole request up to the head of the response, all attempts together.
    pub global: Option<Duration>,
}

/// The defaults of Otoroshi's Backends page, for a backend that says nothing.
impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connection: Some(Duration::from_secs(10)),
            idle: Some(Duration::from_secs(60)),
            call: Some(Duration::from_secs(30)),
            call_and_stream: Some(Duration::from_secs(120)),
            global: Some(Duration::from_secs(30)),
        }
    }
}

impl From<&wire::ClientSettings> for Timeouts {
    fn from(settings: &wire::ClientSettings) -> Self {
        let limit = |millis: u64| (millis > 0).then(|| Duration::from_millis(millis));
        Self {
            connection: limit(settings.connection_timeout),
            idle: limit(settings.idle_timeout),
            call: limit(settings.call_timeout),
            call_and_stream: limit(settings.call_and_stream_timeout),
            global: limit(settings.global_timeout),
        }
    }
}

/// The timeouts of a backend by path.
#[derive(Clone, Debug, Default)]
pub(crate) struct TimeoutRules {
    general: Timeouts,
    custom: Box<[(Glob, Timeouts)]>,
}

impl TimeoutRules {
    pub(crate) fn parse(client: Option<&wire::ClientSettings>) -> Result<Self, String> {
        let Some(client) = client else { return Ok(Self::default()) };
        let rule = |(index, custom): (usize, &wire::CustomTimeouts)| {
            if custom.path.is_empty() {
                return Err(format!("customTimeouts[{index}] has no path: write a pattern such as /*"));
            }
            let timeouts =
                custom.timeouts.as_ref().ok_or_else(|| format!("customTimeouts[{index}] has no timeouts"))?;
            Ok((Glob::new(custom.path.as_str()), Timeouts::from(timeouts)))
        };
        let custom = client.custom_timeouts.iter().enumerate().map(rule).collect::<Result<_, _>>()?;
        Ok(Self { general: client.into(), custom })
    }

    /// The first rule whose pattern matches the path with its query; else the general ones.
    pub(crate) fn of(&self, path: &str, query: Option<&str>) -> &Timeouts {
        let mark: &[u8] = if query.is_some() { b"?" } else { b"" };
        let pieces = [path.as_bytes(), mark, query.unwrap_or_default().as_bytes()];
        self.custom
            .iter()
            .find(|(pattern, _)| pattern.matches_pieces(&pieces))
            .map_or(&self.general, |(_, timeouts)| timeouts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_pattern_counts() {
        let settings = |call_timeout| wire::ClientSettings { call_timeout, ..Default::default() };
        let custom =
            |path: &str, call| wire::CustomTimeouts { path: path.into(), timeouts: Some(settings(call)) };
        let client = wire::ClientSettings {
            custom_timeouts: vec![custom("/slow/*", 5), custom("*?x=*", 6), custom("/slow/*", 7)],
            ..settings(1)
        };
        let rules = TimeoutRules::parse(Some(&client)).unwrap();
        let call = |path, query| rules.of(path, query).call.unwrap().as_millis();
        assert_eq!(
            [call("/slow/a", None), call("/a", Some("x=1")), call("/a", None), call("/slow", None)],
            [5, 6, 1, 1]
        );
    }

    #[test]
    fn zero_is_no_limit_and_nothing_is_the_default() {
        assert_eq!(Timeouts::from(&wire::ClientSettings::default()).idle, None);
        assert_eq!(TimeoutRules::parse(None).unwrap().of("/", None), &Timeouts::default());
    }

    #[test]
    fn refuses_what_is_incomplete() {
        let with = |custom| wire::ClientSettings { custom_timeouts: vec![custom], ..Default::default() };
        assert!(TimeoutRules::parse(Some(&with(wire::CustomTimeouts::default()))).is_err());
        let pathless = wire::CustomTimeouts { path: "/".into(), timeouts: None };
        assert!(TimeoutRules::parse(Some(&with(pathless))).is_err());
    }
}
