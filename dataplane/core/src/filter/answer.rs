use dataplane_snapshot::wire;

use super::{FilterError, check_value};

/// A fixed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectAnswer {
    /// 200 to 599.
    pub status: u16,
    /// The media type; none without a body.
    pub content_type: Option<Box<str>>,
    pub body: Box<[u8]>,
}

impl DirectAnswer {
    const TEXT: &str = "text/plain; charset=utf-8";

    pub fn parse(answer: &wire::DirectAnswer) -> Result<Self, FilterError> {
        let status = u16::try_from(answer.status).ok().filter(|status| (200..=599).contains(status));
        let status = status.ok_or(FilterError::AnswerStatus(answer.status))?;
        // RFC 9110, 15.3.5, 15.3.6 and 15.4.5.
        if matches!(status, 204 | 205 | 304) && !answer.body.is_empty() {
            return Err(FilterError::AnswerBody(answer.status));
        }
        let content_type = if answer.content_type.is_empty() { Self::TEXT } else { &answer.content_type };
        if !content_type.contains('/') || check_value("content-type", content_type).is_err() {
            return Err(FilterError::MediaType(content_type.to_owned()));
        }
        let content_type = (!answer.body.is_empty()).then(|| content_type.into());
        Ok(Self { status, content_type, body: answer.body.as_bytes().into() })
    }
}
