use crds::{HealthCheck, HealthCheckType as Type};
use serde_json::{Value, json};

use super::reader::Reader;

/// Ours; Otoroshi only has the first.
const TYPES: [(&str, Type); 3] = [("Http", Type::Http), ("Tcp", Type::Tcp), ("Grpc", Type::Grpc)];

/// The names are in camel case here, unlike the rest of Otoroshi's JSON.
pub(super) fn read(reader: &mut Reader<'_>) -> HealthCheck {
    let default = HealthCheck::default();
    HealthCheck {
        enabled: reader.bool("enabled", default.enabled),
        type_: read_type(reader),
        url: reader.text("url"),
        service: reader.text("service"),
        interval: reader.millis("interval", default.interval),
        jitter: reader.u32("jitter", default.jitter, u32::MAX),
        timeout: reader.millis("timeout", default.timeout),
        healthy_threshold: reader.u32("healthyThreshold", default.healthy_threshold, u32::MAX),
        unhealthy_threshold: reader.u32("unhealthyThreshold", default.unhealthy_threshold, u32::MAX),
        healthy_statuses: reader.statuses("healthyStatuses"),
        unhealthy_statuses: reader.statuses("unhealthyStatuses"),
        healthy_regex_checks: reader.strings("healthyRegexChecks"),
        unhealthy_regex_checks: reader.strings("unhealthyRegexChecks"),
        block_on_red: reader.bool("blockOnRed", default.block_on_red),
        logic_check: reader.bool("logicCheck", default.logic_check),
    }
}

fn read_type(reader: &mut Reader<'_>) -> Type {
    let Some(name) = reader.text("type") else { return Type::default() };
    let known = TYPES.into_iter().find(|(known, _)| *known == name);
    if known.is_none() {
        reader.problem("type", format!("{name:?} isn't one of Http, Tcp, Grpc"));
    }
    known.map(|(_, type_)| type_).unwrap_or_default()
}

pub(super) fn write(check: &HealthCheck) -> Value {
    let name = TYPES.iter().find(|(_, type_)| *type_ == check.type_).map_or("Http", |(name, _)| name);
    json!({
        "enabled": check.enabled,
        "type": name,
        "url": check.url.as_deref().unwrap_or_default(),
        "service": check.service,
        "interval": check.interval.as_millis(),
        "jitter": check.jitter,
        "timeout": check.timeout.as_millis(),
        "healthyThreshold": check.healthy_threshold,
        "unhealthyThreshold": check.unhealthy_threshold,
        "healthyStatuses": check.healthy_statuses,
        "unhealthyStatuses": check.unhealthy_statuses,
        "healthyRegexChecks": check.healthy_regex_checks,
        "unhealthyRegexChecks": check.unhealthy_regex_checks,
        "blockOnRed": check.block_on_red,
        "logicCheck": check.logic_check,
    })
}
