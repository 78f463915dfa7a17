use crds::{LoadBalancing, LoadBalancingType};

use crate::plan::findings::{Field, Findings};

pub(super) fn load_balancing(spec: &LoadBalancing, at: &Field<'_>, findings: &mut Findings) {
    if spec.type_ != LoadBalancingType::RoundRobin {
        findings.unsupported(&at.name("type"), "write RoundRobin");
    }
    let parameters = [
        ("ratio", spec.ratio.is_some(), LoadBalancingType::WeightedBestResponseTime),
        ("headerName", spec.header_name.is_some(), LoadBalancingType::HeaderHash),
        ("cookieName", spec.cookie_name.is_some(), LoadBalancingType::CookieHash),
        ("queryName", spec.query_name.is_some(), LoadBalancingType::QueryHash),
    ];
    for (name, is_set, its) in parameters {
        if is_set && spec.type_ != its {
            findings.invalid(&at.name(name), format!("only goes with type {its:?}: leave it out"));
        }
    }
}
