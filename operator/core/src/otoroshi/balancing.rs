use crds::{LoadBalancing, LoadBalancingType as Type};
use serde_json::{Value, json};

use super::reader::Reader;

const TYPES: [(&str, Type); 12] = [
    ("RoundRobin", Type::RoundRobin),
    ("Random", Type::Random),
    ("Sticky", Type::Sticky),
    ("IpAddressHash", Type::IpAddressHash),
    ("BestResponseTime", Type::BestResponseTime),
    ("WeightedBestResponseTime", Type::WeightedBestResponseTime),
    ("LeastConnections", Type::LeastConnections),
    ("PowerOfTwoRandomChoices", Type::PowerOfTwoRandomChoices),
    ("NaiveFailover", Type::NaiveFailover),
    ("HeaderHash", Type::HeaderHash),
    ("CookieHash", Type::CookieHash),
    ("QueryHash", Type::QueryHash),
];

pub(super) fn read(reader: &mut Reader<'_>) -> LoadBalancing {
    let name = reader.text("type").unwrap_or_else(|| "RoundRobin".to_owned());
    let Some((_, type_)) = TYPES.into_iter().find(|(known, _)| *known == name) else {
        let known: Vec<_> = TYPES.iter().map(|(known, _)| *known).collect();
        reader.problem("type", format!("{name:?} isn't one of {}", known.join(", ")));
        return LoadBalancing::default();
    };
    // A parameter of another type is left, and refused as unknown.
    let prefer_own_zone = reader.bool("prefer_own_zone", false);
    let mut balancing = LoadBalancing { type_, prefer_own_zone, ..LoadBalancing::default() };
    match type_ {
        Type::WeightedBestResponseTime => balancing.ratio = reader.float("ratio"),
        Type::Sticky => {
            balancing.cookie_name = reader.text("cookie_name");
            balancing.cookie_ttl = reader.duration("cookie_ttl");
        }
        Type::HeaderHash => balancing.header_name = reader.text("header_name"),
        Type::CookieHash => balancing.cookie_name = reader.text("cookie_name"),
        Type::QueryHash => balancing.query_name = reader.text("query_name"),
        _ => {}
    }
    balancing
}

pub(super) fn write(balancing: &LoadBalancing) -> Value {
    let name =
        TYPES.iter().find(|(_, type_)| *type_ == balancing.type_).map_or("RoundRobin", |(name, _)| name);
    let mut json = json!({ "type": name });
    let parameters = [
        ("ratio", balancing.ratio.map(|ratio| json!(ratio))),
        ("header_name", balancing.header_name.as_ref().map(|name| json!(name))),
        ("cookie_name", balancing.cookie_name.as_ref().map(|name| json!(name))),
        ("cookie_ttl", balancing.cookie_ttl.map(|ttl| json!(ttl.as_millis()))),
        ("prefer_own_zone", balancing.prefer_own_zone.then_some(json!(true))),
        ("query_name", balancing.query_name.as_ref().map(|name| json!(name))),
    ];
    for (name, value) in parameters {
        if let (Some(value), Some(fields)) = (value, json.as_object_mut()) {
            fields.insert(name.to_owned(), value);
        }
    }
    json
}
