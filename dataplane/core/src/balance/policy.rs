use std::net::IpAddr;

use dataplane_snapshot::Key;
use dataplane_snapshot::wire::{self, LoadBalancingPolicy};

use super::candidates::Candidates;
use super::sticky::Sticky;
use super::{rendezvous, spread};
use crate::condition::is_token;
use crate::{Choice, CompiledTarget, RequestHead, cookie, query};

/// How one of the candidates is chosen.
#[derive(Clone, Debug, Default)]
pub(crate) enum Policy {
    #[default]
    RoundRobin,
    Random,
    Sticky(Sticky),
    Hash(Source),
    /// This share of requests goes to the target that is expected to answer first, the rest to any by weight.
    Fastest(f64),
    LeastConnections,
    TwoChoices,
    Failover,
}

/// What is hashed. The same value goes to the same target as long as that is a candidate.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    ClientIp,
    Header(Box<str>),
    Cookie(Box<str>),
    Query(Box<str>),
}

impl Policy {
    pub(crate) fn parse(backend: &Key, balancing: Option<&wire::LoadBalancing>) -> Result<Self, String> {
        let Some(balancing) = balancing else { return Ok(Self::default()) };
        let policy = LoadBalancingPolicy::try_from(balancing.policy)
            .map_err(|_| format!("{} is no load balancing that this version knows", balancing.policy))?;
        let name = || match &*balancing.name {
            "" => Err(format!("{policy:?} without a name of what is hashed")),
            name => Ok(name),
        };
        Ok(match policy {
            LoadBalancingPolicy::RoundRobin => Self::RoundRobin,
            LoadBalancingPolicy::Random => Self::Random,
            LoadBalancingPolicy::Sticky => Self::Sticky(Sticky::parse(backend, balancing)?),
            LoadBalancingPolicy::IpAddressHash => Self::Hash(Source::ClientIp),
            LoadBalancingPolicy::BestResponseTime => Self::Fastest(1.0),
            LoadBalancingPolicy::WeightedBestResponseTime => Self::Fastest(share(balancing.ratio)?),
            LoadBalancingPolicy::LeastConnections => Self::LeastConnections,
            LoadBalancingPolicy::PowerOfTwoRandomChoices => Self::TwoChoices,
            LoadBalancingPolicy::NaiveFailover => Self::Failover,
            LoadBalancingPolicy::HeaderHash => {
                Self::Hash(Source::Header(token(name()?)?.to_ascii_lowercase().into()))
            }
            LoadBalancingPolicy::CookieHash => Self::Hash(Source::Cookie(token(name()?)?.into())),
            LoadBalancingPolicy::QueryHash => Self::Hash(Source::Query(name()?.into())),
        })
    }

    /// Whether it goes by how fast targets answer.
    pub(crate) const fn measures(&self) -> bool {
        matches!(self, Self::Fastest(_) | Self::TwoChoices)
    }

    /// One of the candidates; `None` if it is to be round robin, since the request has nothing that this goes by.
    pub(crate) fn pick<'t, H: RequestHead>(
        &self,
        candidates: Candidates<'t>,
        choice: &Choice<'_, H>,
    ) -> Option<&'t CompiledTarget> {
        let random = spread(choice.random);
        match self {
            Self::RoundRobin | Self::Random => candidates.warm(choice).by_weight(random),
            Self::Sticky(sticky) => {
                let token = sticky.token(choice.head)?;
                candidates.iter().find(|target| target.token == token)
            }
            Self::Hash(source) => {
                let key = source.hash(choice.head)?;
                let score = |target: &CompiledTarget| {
                    rendezvous::score(key, target.token, target.warm_weight(choice))
                };
                candidates.iter().max_by(|a, b| score(a).total_cmp(&score(b)))
            }
            Self::Fastest(share) if *share < fraction(choice.random) => {
                candidates.warm(choice).by_weight(random)
            }
            Self::Fastest(_) => candidates
                .warm(choice)
                .least(random, |target| expected(target, choice) / f64::from(target.weight)),
            Self::LeastConnections => candidates
                .warm(choice)
                .least(random, |target| target.state.in_flight() as f64 / f64::from(target.weight)),
            Self::TwoChoices => {
                let candidates = candidates.warm(choice);
                let one = candidates.by_weight(random)?;
                let Some(other) = candidates.without(one).by_weight(spread(random)) else { return Some(one) };
                let cost = |target: &CompiledTarget| {
                    (target.state.in_flight() + 1) as f64 * expected(target, choice)
                };
                Some(if cost(other) < cost(one) { other } else { one })
            }
            Self::Failover => candidates.warm(choice).iter().next(),
        }
    }
}

impl Source {
    /// `None` if the request has no such value, or an empty one.
    fn hash<H: RequestHead>(&self, head: &H) -> Option<u64> {
        match self {
            Self::ClientIp => Some(match head.client_ip().to_canonical() {
                IpAddr::V4(address) => rendezvous::hash(address.octets()),
                IpAddr::V6(address) => rendezvous::hash(address.octets()),
            }),
            Self::Header(name) => first(head.header(name)),
            Self::Cookie(name) => {
                first(head.header("cookie").flat_map(|field| cookie::values(field, name.as_bytes())))
            }
            Self::Query(name) => {
                let value = query::values(head.query()?, name).find(|value| !value.is_empty())?;
                Some(rendezvous::hash(query::decode(value)))
            }
        }
    }
}

fn first<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Option<u64> {
    values.find(|value| !value.is_empty()).map(|value| rendezvous::hash(value.iter().copied()))
}

fn share(ratio: f64) -> Result<f64, String> {
    if (0.0..=0.99).contains(&ratio) {
        Ok(ratio)
    } else {
        Err(format!("the ratio {ratio} is not one of 0 to 0.99"))
    }
}

fn token(name: &str) -> Result<&str, String> {
    if is_token(name) { Ok(name) } else { Err(format!("{name:?} is not a name of a header or cookie")) }
}

/// Evenly in 0 ≤ x < 1.
fn fraction(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

fn expected<H>(target: &CompiledTarget, choice: &Choice<'_, H>) -> f64 {
    f64::from(target.state.latency.expected(choice.now, target.state.in_flight()))
}
