use crds::HealthCheck;
use serde_json::{Value, json};

use super::reader::Reader;

/// The names are in camel case here, unlike the rest of Otoroshi's JSON.
pub(super) fn read(reader: &mut Reader<'_>) -> HealthCheck {
    let default = HealthCheck::default();
    HealthCheck {
        enabled: reader.bool("enabled", default.enabled),
        url: reader.text("url"),
        timeout: reader.millis("timeout", default.timeout),
        healthy_statuses: reader.statuses("healthyStatuses"),
        unhealthy_statuses: reader.statuses("unhealthyStatuses"),
        healthy_regex_checks: reader.strings("healthyRegexChecks"),
        unhealthy_regex_checks: reader.strings("unhealthyRegexChecks"),
        block_on_red: reader.bool("blockOnRed", default.block_on_red),
        logic_check: reader.bool("logicCheck", default.logic_check),
    }
}

pub(super) fn write(check: &HealthCheck) -> Value {
    json!({
        "enabled": check.enabled,
        "url": check.url.as_deref().unwrap_or_default(),
        "timeout": check.timeout.as_millis(),
        "healthyStatuses": check.healthy_statuses,
        "unhealthyStatuses": check.unhealthy_statuses,
        "healthyRegexChecks": check.healthy_regex_checks,
        "unhealthyRegexChecks": check.unhealthy_regex_checks,
        "blockOnRed": check.block_on_red,
        "logicCheck": check.logic_check,
    })
}
