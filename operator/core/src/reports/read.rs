use std::net::IpAddr;

use dataplane_snapshot::wire::{self, Node, TargetBreaker, TargetStanding, Usage};
use dataplane_snapshot::{Key, Kind};
use prost::Message as _;

use super::health::{Breaker, Level, Standing, Subject};

/// The longest id of a target and the longest reason, in bytes; what is longer is cut.
pub const MAX_TEXT: usize = 256;

/// The longest description of a process, in bytes.
pub const MAX_NODE_BYTES: usize = 64 * 1024;

/// A report that is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub sequence: u64,
    /// What `targets` is the change of; 0: of nothing.
    pub base: u64,
    /// Where it came from, if whoever received it knows.
    pub from: Option<IpAddr>,
    pub node: Node,
    pub usage: Usage,
    /// `None`: nothing is said about the target any more.
    pub targets: Vec<(Subject, Option<Level>)>,
}

/// Why a message is no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    #[error("not a report: {0}")]
    Malformed(String),
    #[error(
        "a report has a sequence from 1 on, and one below it as its base; this one has {sequence} and {base}"
    )]
    Sequence { sequence: u64, base: u64 },
    #[error("it describes its process in {0} bytes, more than the {MAX_NODE_BYTES} allowed")]
    Node(usize),
}

impl Report {
    /// Reads a message, and who it is about if it says so.
    pub fn read(bytes: &[u8]) -> Result<(Self, Option<wire::Member>), ReportError> {
        let mut report =
            wire::Report::decode(bytes).map_err(|error| ReportError::Malformed(error.to_string()))?;
        let member = report.member.take();
        Self::from_wire(report).map(|report| (report, member))
    }

    /// The same of a message that is decoded. Targets of what can't be the key of a backend are passed over.
    pub fn from_wire(report: wire::Report) -> Result<Self, ReportError> {
        let wire::Report { member: _, sequence, base, node, usage, targets } = report;
        if sequence <= base {
            return Err(ReportError::Sequence { sequence, base });
        }
        let node = node.unwrap_or_default();
        if node.encoded_len() > MAX_NODE_BYTES {
            return Err(ReportError::Node(node.encoded_len()));
        }
        let (usage, targets) = (usage.unwrap_or_default(), read_targets(targets));
        Ok(Self { sequence, base, from: None, node, usage, targets })
    }
}

fn read_targets(levels: Vec<wire::TargetLevel>) -> Vec<(Subject, Option<Level>)> {
    // The targets of one backend come together and share its key.
    let mut last: Option<(String, Option<Key>)> = None;
    let mut targets = Vec::with_capacity(levels.len());
    for level in levels {
        let key = match &last {
            Some((text, key)) if *text == level.backend => key.clone(),
            _ => {
                let key = level.backend.parse().ok().filter(|key: &Key| key.kind() == Kind::Backend);
                last = Some((level.backend.clone(), key.clone()));
                key
            }
        };
        let subject = key.map(|key| (key, cut(&level.target).into()));
        targets.extend(subject.map(|subject| (subject, (!level.gone).then(|| read_level(&level)))));
    }
    targets
}

fn read_level(level: &wire::TargetLevel) -> Level {
    Level {
        standing: match level.standing() {
            TargetStanding::NotChecked => Standing::NotChecked,
            TargetStanding::In => Standing::In,
            TargetStanding::Out => Standing::Out,
        },
        breaker: match level.breaker() {
            TargetBreaker::Closed => Breaker::Closed,
            TargetBreaker::Open => Breaker::Open,
        },
        since: level.since,
        reason: Some(&*level.reason).filter(|reason| !reason.is_empty()).map(|reason| cut(reason).into()),
    }
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default()
}
