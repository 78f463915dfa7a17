use std::net::IpAddr;

use dataplane_snapshot::wire::{self, PredicateKind};
use ipnet::IpNet;

use crate::condition::Conditions;
use crate::{FullRegex, Glob, RequestHead};

/// Where a worker runs, as targets can ask for it. What isn't known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    pub provider: String,
    pub region: String,
    pub zone: String,
    pub data_center: String,
    pub rack: String,
}

/// Which requests a target is for.
#[derive(Clone, Debug)]
pub(crate) enum Predicate {
    Always,
    /// The worker is elsewhere.
    Never,
    Request(Box<RequestPredicate>),
}

#[derive(Clone, Debug)]
pub(crate) struct RequestPredicate {
    conditions: Conditions,
    /// Empty: any.
    clients: Box<[IpNet]>,
}

impl Predicate {
    /// Where this worker runs hardly ever changes, and then all is compiled anew: what depends on it is decided here.
    pub(crate) fn parse(predicate: Option<&wire::Predicate>, location: &Location) -> Result<Self, String> {
        let Some(predicate) = predicate else { return Ok(Self::Always) };
        match &predicate.kind {
            None => Err("its predicate is none that this version knows".to_owned()),
            Some(PredicateKind::NetworkLocation(wanted)) if location.meets(wanted) => Ok(Self::Always),
            Some(PredicateKind::NetworkLocation(_)) => Ok(Self::Never),
            Some(PredicateKind::Request(wanted)) => {
                RequestPredicate::parse(wanted).map(|predicate| Self::Request(Box::new(predicate)))
            }
        }
    }

    #[inline]
    pub(crate) fn holds<H: RequestHead>(&self, head: &H) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Request(predicate) => predicate.holds(head),
        }
    }
}

impl RequestPredicate {
    fn parse(wanted: &wire::RequestMatch) -> Result<Self, String> {
        let conditions = wire::Match {
            methods: wanted.methods.clone(),
            headers: wanted.headers.clone(),
            query: wanted.query.clone(),
            cookies: wanted.cookies.clone(),
            ..wire::Match::default()
        };
        let mut regex = |text: &str| FullRegex::parse(text).map(Into::into);
        let conditions =
            Conditions::parse_with(&conditions, &mut regex).map_err(|error| error.to_string())?;
        let clients = wanted.client_cidrs.iter().map(|text| {
            parse_network(text).ok_or_else(|| format!("{text:?} is not a network or an address"))
        });
        Ok(Self { conditions, clients: clients.collect::<Result<_, _>>()? })
    }

    fn holds<H: RequestHead>(&self, head: &H) -> bool {
        let client = head.client_ip().to_canonical();
        (self.clients.is_empty() || self.clients.iter().any(|network| network.contains(&client)))
            && self.conditions.hold(head)
    }
}

/// A network such as `10.0.0.0/8`, or a single address; `None` if it is neither.
pub fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()
}

impl Location {
    /// Compared without case.
    fn meets(&self, wanted: &wire::NetworkLocation) -> bool {
        let meets = |pattern: &str, value: &str| {
            pattern.is_empty() || Glob::new(pattern.to_lowercase()).matches(value.to_lowercase().as_bytes())
        };
        meets(&wanted.provider, &self.provider)
            && meets(&wanted.region, &self.region)
            && meets(&wanted.zone, &self.zone)
            && meets(&wanted.data_center, &self.data_center)
            && meets(&wanted.rack, &self.rack)
    }
}

#[cfg(test)]
mod tests {
    use wire::{ConditionKind, NetworkLocation, RequestMatch};

    use super::*;
    use crate::sample::Head;

    fn located(wanted: NetworkLocation) -> bool {
        let location = Location {
            provider: "Metal".into(),
            region: "eu-west".into(),
            zone: "eu-west-1b".into(),
            ..Location::default()
        };
        let predicate = wire::Predicate { kind: Some(PredicateKind::NetworkLocation(wanted)) };
        Predicate::parse(Some(&predicate), &location).unwrap().holds(&Head::get("/"))
    }

    #[test]
    fn a_location_meets_every_given_pattern() {
        let any = NetworkLocation::default();
        assert!(located(any.clone()));
        assert!(located(NetworkLocation { zone: "EU-*".into(), provider: "metal".into(), ..any.clone() }));
        assert!(!located(NetworkLocation { zone: "eu-*".into(), provider: "cloud".into(), ..any.clone() }));
        for wanted in [
            NetworkLocation { provider: "x".into(), ..any.clone() },
            NetworkLocation { region: "x".into(), ..any.clone() },
            NetworkLocation { zone: "x".into(), ..any.clone() },
            NetworkLocation { data_center: "x".into(), ..any.clone() },
            NetworkLocation { rack: "x".into(), ..any.clone() },
        ] {
            assert!(!located(wanted.clone()), "{wanted:?}");
        }
        assert!(located(NetworkLocation { rack: "*".into(), ..any }), "unknown is any");
    }

    fn holds(wanted: RequestMatch, head: &Head) -> bool {
        let predicate = wire::Predicate { kind: Some(PredicateKind::Request(wanted)) };
        Predicate::parse(Some(&predicate), &Location::default()).unwrap().holds(head)
    }

    #[test]
    fn a_request_meets_every_condition() {
        let present = |name: &str| {
            vec![wire::Condition {
                name: name.into(),
                kind: ConditionKind::Present.into(),
                ..Default::default()
            }]
        };
        let head = Head::get("/?q=1").header("x-a", "1").header("cookie", "c=1");
        let all = RequestMatch {
            methods: vec!["GET".into(), "HEAD".into()],
            headers: present("X-A"),
            query: present("q"),
            cookies: present("c"),
            client_cidrs: vec!["10.0.0.0/8".into(), head.client_ip().to_string()],
        };
        assert!(holds(all.clone(), &head));
        assert!(holds(RequestMatch::default(), &head));
        for wanted in [
            RequestMatch { methods: vec!["POST".into()], ..all.clone() },
            RequestMatch { headers: present("x-b"), ..all.clone() },
            RequestMatch { query: present("p"), ..all.clone() },
            RequestMatch { cookies: present("d"), ..all.clone() },
            RequestMatch { client_cidrs: vec!["10.0.0.0/8".into(), "fd00::/8".into()], ..all },
        ] {
            assert!(!holds(wanted.clone(), &head), "{wanted:?}");
        }
    }

    #[test]
    fn what_it_cannot_read_is_refused() {
        let parse = |kind| Predicate::parse(Some(&wire::Predicate { kind }), &Location::default());
        assert!(parse(None).unwrap_err().contains("none that this version knows"));
        for bad in [
            RequestMatch { methods: vec!["get".into()], ..Default::default() },
            RequestMatch { client_cidrs: vec!["10.0.0.0/33".into()], ..Default::default() },
            RequestMatch { headers: vec![wire::Condition::default()], ..Default::default() },
        ] {
            assert!(parse(Some(PredicateKind::Request(bad.clone()))).is_err(), "{bad:?}");
        }
        assert!(Predicate::parse(None, &Location::default()).unwrap().holds(&Head::get("/")));
    }
}
