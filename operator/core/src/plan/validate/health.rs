use crds::bounds::{MAX_GRPC_SERVICE, MAX_JITTER, MAX_THRESHOLD};
use crds::{Duration, HealthCheck, HealthCheckType};

use super::bounds::{self, number};
use super::syntax;
use crate::plan::findings::{Field, Findings};
use crate::plan::model::{Question, ValidHealthCheck};

/// `None` if the check isn't enabled, or if something was found. What isn't supported yet is only refused if it is enabled,
/// since until then it does nothing anyway.
pub(super) fn health_check<'a>(
    spec: &'a HealthCheck,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Option<ValidHealthCheck<'a>> {
    let (min, max) = (HealthCheck::MIN_INTERVAL, HealthCheck::MAX_INTERVAL);
    duration(spec.interval, min, max, &at.name("interval"), findings);
    let (min, max) = (HealthCheck::MIN_TIMEOUT, HealthCheck::MAX_TIMEOUT);
    duration(spec.timeout, min, max, &at.name("timeout"), findings);
    number(spec.jitter, 0, MAX_JITTER, &at.name("jitter"), findings);
    number(spec.healthy_threshold, 1, MAX_THRESHOLD, &at.name("healthyThreshold"), findings);
    number(spec.unhealthy_threshold, 1, MAX_THRESHOLD, &at.name("unhealthyThreshold"), findings);
    statuses(&spec.healthy_statuses, &at.name("healthyStatuses"), findings);
    statuses(&spec.unhealthy_statuses, &at.name("unhealthyStatuses"), findings);
    patterns(&spec.healthy_regex_checks, &at.name("healthyRegexChecks"), findings);
    patterns(&spec.unhealthy_regex_checks, &at.name("unhealthyRegexChecks"), findings);
    service(spec, &at.name("service"), findings);
    let question = question(spec, at, findings)?;
    spec.enabled.then(|| ValidHealthCheck {
        question,
        interval: spec.interval.as_millis(),
        timeout: spec.timeout.as_millis(),
        jitter: spec.jitter,
        healthy_threshold: spec.healthy_threshold,
        unhealthy_threshold: spec.unhealthy_threshold,
    })
}

fn question<'a>(spec: &'a HealthCheck, at: &Field<'_>, findings: &mut Findings) -> Option<Question<'a>> {
    match spec.type_ {
        HealthCheckType::Http => {
            let url = url(spec, &at.name("url"), findings)?;
            return Some(Question::Http {
                url,
                healthy_statuses: &spec.healthy_statuses,
                unhealthy_statuses: &spec.unhealthy_statuses,
                healthy_patterns: &spec.healthy_regex_checks,
                unhealthy_patterns: &spec.unhealthy_regex_checks,
                block_on_red: spec.block_on_red,
                logic: spec.logic_check,
            });
        }
        HealthCheckType::Tcp | HealthCheckType::Grpc => {}
    }
    for (name, is_there) in [
        ("url", spec.url.is_some()),
        ("healthyStatuses", !spec.healthy_statuses.is_empty()),
        ("unhealthyStatuses", !spec.unhealthy_statuses.is_empty()),
        ("healthyRegexChecks", !spec.healthy_regex_checks.is_empty()),
        ("unhealthyRegexChecks", !spec.unhealthy_regex_checks.is_empty()),
        ("blockOnRed", spec.block_on_red),
    ] {
        if is_there {
            findings.invalid(&at.name(name), "only goes with type Http: leave it out");
        }
    }
    let service = spec.service.as_deref().unwrap_or_default();
    Some(if spec.type_ == HealthCheckType::Tcp { Question::Tcp } else { Question::Grpc(service) })
}

fn service(spec: &HealthCheck, at: &Field<'_>, findings: &mut Findings) {
    let Some(service) = spec.service.as_deref() else { return };
    if spec.type_ != HealthCheckType::Grpc {
        findings.invalid(at, "only goes with type Grpc: leave it out");
    } else if service.is_empty() || !bounds::fits(service.chars().count(), MAX_GRPC_SERVICE) {
        findings.invalid(at, format!("write 1 to {MAX_GRPC_SERVICE} characters, or leave it out"));
    }
}

fn url<'a>(spec: &'a HealthCheck, at: &Field<'_>, findings: &mut Findings) -> Option<&'a str> {
    let Some(url) = spec.url.as_deref() else {
        if spec.enabled {
            findings.invalid(at, "write what is requested, for instance /health");
        }
        return None;
    };
    match syntax::check_url(url) {
        Ok(()) => return Some(url),
        Err(error) => findings.invalid(at, error.to_string()),
    }
    None
}

fn duration(value: Duration, min: Duration, max: Duration, at: &Field<'_>, findings: &mut Findings) {
    if value < min || value > max {
        findings.invalid(at, format!("{value} isn't possible: write {min} to {max}"));
    }
}

fn statuses(statuses: &[u16], at: &Field<'_>, findings: &mut Findings) {
    for (index, status) in statuses.iter().enumerate() {
        number(u32::from(*status), 100, 599, &at.index(index), findings);
    }
}

fn patterns(patterns: &[String], at: &Field<'_>, findings: &mut Findings) {
    for (index, pattern) in patterns.iter().enumerate() {
        if pattern.is_empty() {
            findings.invalid(&at.index(index), "write an expression, or leave it out");
        } else if let Err(error) = syntax::found_regex(pattern) {
            findings.invalid(&at.index(index), error.to_string());
        }
    }
}
