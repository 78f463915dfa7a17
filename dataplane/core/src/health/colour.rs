use std::fmt;

use super::{HttpCheck, Thresholds};

/// Otoroshi's name for the number that a logic check sends, in lower case.
pub const LOGIC_TEST: &str = "otoroshi-health-check-logic-test";
/// Otoroshi's name for the number that comes back, in lower case.
pub const LOGIC_RESULT: &str = "otoroshi-health-check-logic-test-result";

/// What one probe says about a target, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Colour {
    Green,
    /// Healthy, but it didn't do the sum of the logic check.
    Yellow,
    /// It answers, but as unhealthy.
    Red,
    /// It doesn't answer.
    Black,
}

/// A colour and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub colour: Colour,
    /// For people, without the target's name.
    pub reason: String,
}

/// What a target answered to a probe.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub status: u16,
    pub content_type: Option<&'a [u8]>,
    /// The value of [`LOGIC_RESULT`].
    pub logic_result: Option<&'a [u8]>,
    /// Empty if [`HttpCheck::wants_body`] says that it isn't needed.
    pub body: &'a [u8],
}

impl Colour {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
            Self::Black => "black",
        }
    }

    /// Whether it speaks for taking traffic away.
    pub(super) const fn is_against(self, thresholds: &Thresholds) -> bool {
        match self {
            Self::Green | Self::Yellow => false,
            Self::Red => thresholds.block_on_red,
            Self::Black => true,
        }
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Judgement {
    pub fn new(colour: Colour, reason: impl Into<String>) -> Self {
        Self { colour, reason: reason.into() }
    }
}

impl HttpCheck {
    /// Whether the body of an answer decides: only that of a textual one can.
    pub fn wants_body(&self, content_type: Option<&[u8]>) -> bool {
        let none = self.healthy_patterns.is_empty() && self.unhealthy_patterns.is_empty();
        !none && content_type.is_some_and(is_textual)
    }

    /// The colour of an answer; `number` is the one that was sent.
    ///
    /// As Otoroshi, with one difference: without `healthyStatuses` the statuses 200 to 499 are healthy also if
    /// `unhealthyStatuses` are given (there, every other status would be red).
    pub fn judge(&self, answer: &Answer<'_>, number: u32) -> Judgement {
        let status = answer.status;
        let healthy = if self.healthy_statuses.is_empty() {
            (200..=499).contains(&status)
        } else {
            self.healthy_statuses.contains(&status)
        };
        if !healthy || self.unhealthy_statuses.contains(&status) {
            return Judgement::new(Colour::Red, format!("status {status}"));
        }
        if self.wants_body(answer.content_type)
            && let Some(reason) = self.wrong_body(answer.body)
        {
            return Judgement::new(Colour::Red, format!("status {status}, {reason}"));
        }
        if self.logic && !is_sum(answer.logic_result, number) {
            let reason = format!("status {status}, without the right {LOGIC_RESULT}");
            return Judgement::new(Colour::Yellow, reason);
        }
        Judgement::new(Colour::Green, format!("status {status}"))
    }

    fn wrong_body(&self, body: &[u8]) -> Option<String> {
        if let Some(pattern) = self.unhealthy_patterns.iter().find(|pattern| pattern.is_in(body)) {
            return Some(format!("{:?} of unhealthyRegexChecks is in its body", pattern.source()));
        }
        let healthy = &self.healthy_patterns;
        let none = !healthy.is_empty() && !healthy.iter().any(|pattern| pattern.is_in(body));
        none.then(|| "nothing of healthyRegexChecks is in its body".to_owned())
    }
}

/// The number increased by 42, as decimal digits.
fn is_sum(result: Option<&[u8]>, number: u32) -> bool {
    let parsed = result.and_then(|value| std::str::from_utf8(value).ok()?.trim().parse::<u64>().ok());
    parsed == Some(u64::from(number) + 42)
}

/// RFC 9110, section 8.3.1: `type/subtype`, then parameters. RFC 6839: what ends in +json or +xml is one of both.
fn is_textual(content_type: &[u8]) -> bool {
    let media = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let starts = |start: &[u8]| media.get(..start.len()).is_some_and(|it| it.eq_ignore_ascii_case(start));
    let ends = |end: &[u8]| {
        media
            .len()
            .checked_sub(end.len())
            .and_then(|at| media.get(at..))
            .is_some_and(|it| it.eq_ignore_ascii_case(end))
    };
    const TEXTS: [&[u8]; 4] = [
        b"application/json",
        b"application/xml",
        b"application/javascript",
        b"application/x-www-form-urlencoded",
    ];
    starts(b"text/")
        || ends(b"+json")
        || ends(b"+xml")
        || TEXTS.iter().any(|text| media.eq_ignore_ascii_case(text))
}
