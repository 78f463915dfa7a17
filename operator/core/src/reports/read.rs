use std::net::IpAddr;

use dataplane_snapshot::wire::{
    self, MAX_NODE_BYTES, MAX_TARGETS, Node, TargetBreaker, TargetStanding, Usage,
};
use dataplane_snapshot::{Key, Kind};
use prost::Message as _;

use super::health::{Breaker, Level, Standing, Subject};

/// The longest id of a target and the longest reason, in bytes; what is longer is cut.
pub const MAX_TEXT: usize = 256;

/// The longest key of a backend, in bytes; targets of what has a longer one are passed over.
const MAX_KEY: usize = 1024;

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
    #[error("it tells of {0} targets, more than the {MAX_TARGETS} allowed")]
    Targets(usize),
}

impl Report {
    /// Reads a message, and who it is about if it says so.
    pub fn read(bytes: &[u8]) -> Result<(Self, Option<wire::Member>), ReportError> {
        let cut =
            || ReportError::Malformed("a field is longer than the message, or of an unknown type".to_owned());
        let Sizes { targets, node } = Sizes::of(bytes).ok_or_else(cut)?;
        within(targets, MAX_TARGETS, ReportError::Targets)?;
        within(node, MAX_NODE_BYTES, ReportError::Node)?;
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
        within(node.encoded_len(), MAX_NODE_BYTES, ReportError::Node)?;
        within(targets.len(), MAX_TARGETS, ReportError::Targets)?;
        let (usage, targets) = (usage.unwrap_or_default(), read_targets(targets));
        Ok(Self { sequence, base, from: None, node, usage, targets })
    }
}

fn within(size: usize, most: usize, error: fn(usize) -> ReportError) -> Result<(), ReportError> {
    if size > most { Err(error(size)) } else { Ok(()) }
}

/// What a message would have after decoding, found without making any of it: few bytes can be much memory.
#[derive(Default)]
struct Sizes {
    /// How many.
    targets: usize,
    /// In bytes.
    node: usize,
}

impl Sizes {
    /// `None`: it is no message.
    fn of(mut bytes: &[u8]) -> Option<Self> {
        // The numbers of these fields in `wire::Report`.
        const NODE: usize = 4;
        const TARGETS: usize = 6;
        let mut sizes = Self::default();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes)?;
            let length = match tag & 7 {
                0 => varint(&mut bytes).map(|_| 0)?,
                1 => 8,
                2 => varint(&mut bytes)?,
                5 => 4,
                _ => return None,
            };
            match tag >> 3 {
                NODE => sizes.node = sizes.node.saturating_add(length),
                TARGETS => sizes.targets += 1,
                _ => {}
            }
            bytes = bytes.get(length..)?;
        }
        Some(sizes)
    }
}

fn varint(bytes: &mut &[u8]) -> Option<usize> {
    prost::decode_length_delimiter(bytes).ok()
}

fn read_targets(levels: Vec<wire::TargetLevel>) -> Vec<(Subject, Option<Level>)> {
    // The targets of one backend come together and share its key.
    let mut last: Option<(String, Option<Key>)> = None;
    let mut targets = Vec::with_capacity(levels.len());
    for level in levels {
        let key = match &last {
            Some((text, key)) if *text == level.backend => key.clone(),
            _ => {
                let text = Some(&level.backend).filter(|text| text.len() <= MAX_KEY);
                let key = text.and_then(|text| text.parse().ok());
                let key = key.filter(|key: &Key| key.kind() == Kind::Backend);
                last = Some((level.backend.clone(), key.clone()));
                key
            }
        };
        let subject = key.map(|key| (key, as_told(&level.target).into()));
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
        reason: Some(&*level.reason).filter(|reason| !reason.is_empty()).map(|reason| as_told(reason).into()),
    }
}

/// As much of a text as a report has.
pub(crate) fn as_told(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default()
}
