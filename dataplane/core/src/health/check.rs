use std::time::Duration;

use dataplane_snapshot::wire;

use super::{CheckUrl, GrpcCheck, Pace};
use crate::FoundRegex;

/// How the targets of a backend are checked.
#[derive(Debug, PartialEq, Eq)]
pub struct HealthCheck {
    pub question: Question,
    pub pace: Pace,
    /// The longest time that one probe may take, all of its attempts together.
    pub timeout: Duration,
    pub thresholds: Thresholds,
}

/// What a target is asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Question {
    /// To take a connection.
    Tcp,
    Http(HttpCheck),
    Grpc(GrpcCheck),
}

/// A GET, and what its answer has to be.
#[derive(Debug, PartialEq, Eq)]
pub struct HttpCheck {
    pub url: CheckUrl,
    /// Empty: 200 to 499.
    pub(super) healthy_statuses: Box<[u16]>,
    pub(super) unhealthy_statuses: Box<[u16]>,
    pub(super) healthy_patterns: Box<[FoundRegex]>,
    pub(super) unhealthy_patterns: Box<[FoundRegex]>,
    /// A number is sent that the target answers increased by 42.
    pub logic: bool,
}

/// How many probes in a row change where a target stands, and what counts against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// At least 1.
    pub healthy: u32,
    /// At least 1.
    pub unhealthy: u32,
    /// Also a target that answers as unhealthy gets no traffic, not only one that doesn't answer.
    pub block_on_red: bool,
}

impl HealthCheck {
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
    /// What a worker keeps to, whatever it is told.
    pub const MIN_INTERVAL: Duration = Duration::from_millis(10);

    pub(crate) fn compile(check: &wire::HealthCheck) -> Result<Self, String> {
        let question = match wire::HealthCheckKind::try_from(check.kind) {
            Ok(wire::HealthCheckKind::Tcp) => Question::Tcp,
            Ok(wire::HealthCheckKind::Grpc) => Question::Grpc(GrpcCheck::new(&check.service)),
            Ok(wire::HealthCheckKind::Http) => Question::Http(HttpCheck::compile(check)?),
            Err(_) => return Err(format!("{} is no health check that this version knows", check.kind)),
        };
        let or = |millis: u64, default| if millis == 0 { default } else { Duration::from_millis(millis) };
        let interval = or(check.interval, Self::DEFAULT_INTERVAL).max(Self::MIN_INTERVAL);
        Ok(Self {
            pace: Pace::new(interval, check.jitter),
            timeout: or(check.timeout, Self::DEFAULT_TIMEOUT),
            thresholds: Thresholds {
                healthy: check.healthy_threshold.max(1),
                unhealthy: check.unhealthy_threshold.max(1),
                // A server of gRPC that says that it doesn't serve means it.
                block_on_red: check.block_on_red || matches!(question, Question::Grpc(_)),
            },
            question,
        })
    }
}

impl HttpCheck {
    fn compile(check: &wire::HealthCheck) -> Result<Self, String> {
        Ok(Self {
            url: CheckUrl::parse(&check.url).map_err(|error| format!("url: {error}"))?,
            healthy_statuses: statuses("healthyStatuses", &check.healthy_statuses)?,
            unhealthy_statuses: statuses("unhealthyStatuses", &check.unhealthy_statuses)?,
            healthy_patterns: patterns("healthyRegexChecks", &check.healthy_patterns)?,
            unhealthy_patterns: patterns("unhealthyRegexChecks", &check.unhealthy_patterns)?,
            logic: check.logic_check,
        })
    }
}

fn statuses(name: &str, statuses: &[u32]) -> Result<Box<[u16]>, String> {
    let status = |status: &u32| {
        u16::try_from(*status)
            .ok()
            .filter(|status| (100..=999).contains(status))
            .ok_or_else(|| format!("{name}: {status} is no status code"))
    };
    statuses.iter().map(status).collect()
}

fn patterns(name: &str, sources: &[String]) -> Result<Box<[FoundRegex]>, String> {
    let pattern = |(index, source): (usize, &String)| {
        FoundRegex::parse(source).map_err(|error| format!("{name}[{index}]: {error}"))
    };
    sources.iter().enumerate().map(pattern).collect()
}
