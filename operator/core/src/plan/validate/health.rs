use std::fmt::Display;

use crds::HealthCheck;

use crate::plan::findings::{Field, Findings};

/// Health checks come later: until then only the defaults are accepted. Also of what would wait for `enabled`: accepted, it
/// would seem to do something.
pub(super) fn health_check(spec: &HealthCheck, at: &Field<'_>, findings: &mut Findings) {
    let default = HealthCheck::default();
    let mut only = |name, is_default: bool, instead: &dyn Display| {
        if !is_default {
            findings.unsupported(&at.name(name), instead);
        }
    };
    only("enabled", spec.enabled == default.enabled, &"write false");
    only("url", spec.url.is_none(), &"leave it out");
    let timeout = format_args!("write {}, the default", default.timeout);
    only("timeout", spec.timeout == default.timeout, &timeout);
    only("healthyStatuses", spec.healthy_statuses.is_empty(), &"leave it out");
    only("unhealthyStatuses", spec.unhealthy_statuses.is_empty(), &"leave it out");
    only("healthyRegexChecks", spec.healthy_regex_checks.is_empty(), &"leave it out");
    only("unhealthyRegexChecks", spec.unhealthy_regex_checks.is_empty(), &"leave it out");
    only("blockOnRed", spec.block_on_red == default.block_on_red, &"write false");
    only("logicCheck", spec.logic_check == default.logic_check, &"write true");
}
