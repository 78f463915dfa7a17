use crds::{LoadBalancing, LoadBalancingType as Type};
use dataplane_core::Place;
use dataplane_snapshot::wire::ConditionKind;

use super::syntax;
use crate::plan::findings::{Field, Findings};
use crate::plan::model::Balancing;

/// The name of what is hashed, where none is given; Otoroshi's.
const DEFAULT_NAME: &str = "session-id";
/// Otoroshi's cookie lives for 30 days.
const DEFAULT_TTL: u64 = 30 * 24 * 3600;
/// The share of requests that goes to the fastest target; Otoroshi's.
const DEFAULT_RATIO: f64 = 0.5;

pub(super) fn load_balancing<'a>(
    spec: &'a LoadBalancing,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Balancing<'a> {
    other_parameters(spec, at, findings);
    let mut name = |name: &'a Option<String>, place, field| {
        let name = name.as_deref().unwrap_or(DEFAULT_NAME);
        is_name(place, name, &at.name(field), findings);
        name
    };
    match spec.type_ {
        Type::RoundRobin => Balancing::RoundRobin,
        Type::Random => Balancing::Random,
        Type::Sticky => {
            if spec.cookie_name.is_some() {
                name(&spec.cookie_name, Place::Cookie, "cookieName");
            }
            let ttl = spec.cookie_ttl.map_or(DEFAULT_TTL, |ttl| ttl.as_millis().div_ceil(1000));
            Balancing::Sticky(spec.cookie_name.as_deref(), ttl)
        }
        Type::IpAddressHash => Balancing::IpAddressHash,
        Type::BestResponseTime => Balancing::BestResponseTime,
        Type::WeightedBestResponseTime => {
            Balancing::WeightedBestResponseTime(ratio(spec.ratio, &at.name("ratio"), findings))
        }
        Type::LeastConnections => Balancing::LeastConnections,
        Type::PowerOfTwoRandomChoices => Balancing::PowerOfTwoRandomChoices,
        Type::NaiveFailover => Balancing::NaiveFailover,
        Type::HeaderHash => Balancing::HeaderHash(name(&spec.header_name, Place::Header, "headerName")),
        Type::CookieHash => Balancing::CookieHash(name(&spec.cookie_name, Place::Cookie, "cookieName")),
        Type::QueryHash => Balancing::QueryHash(name(&spec.query_name, Place::Query, "queryName")),
    }
}

/// What only another type knows would have no effect.
fn other_parameters(spec: &LoadBalancing, at: &Field<'_>, findings: &mut Findings) {
    let parameters: [(_, _, &[Type]); 5] = [
        ("ratio", spec.ratio.is_some(), &[Type::WeightedBestResponseTime]),
        ("headerName", spec.header_name.is_some(), &[Type::HeaderHash]),
        ("cookieName", spec.cookie_name.is_some(), &[Type::CookieHash, Type::Sticky]),
        ("cookieTtl", spec.cookie_ttl.is_some(), &[Type::Sticky]),
        ("queryName", spec.query_name.is_some(), &[Type::QueryHash]),
    ];
    for (name, is_set, its) in parameters {
        if is_set && !its.contains(&spec.type_) {
            let its: Vec<_> = its.iter().map(|type_| format!("{type_:?}")).collect();
            findings
                .invalid(&at.name(name), format!("only goes with type {}: leave it out", its.join(" or ")));
        }
    }
}

fn is_name(place: Place, name: &str, at: &Field<'_>, findings: &mut Findings) {
    if let Err(error) = syntax::condition(place, ConditionKind::Present, name, "") {
        findings.invalid(at, error.to_string());
    }
}

fn ratio(ratio: Option<f64>, at: &Field<'_>, findings: &mut Findings) -> f64 {
    let ratio = ratio.unwrap_or(DEFAULT_RATIO);
    if !(0.0..=0.99).contains(&ratio) {
        findings.invalid(at, format!("{ratio} is not a share: write a number from 0 to 0.99"));
    }
    ratio
}
