use crate::expression::{Expansion, Scope, push_query};
use crate::{ExpressionError, RequestHead, Template};

/// A backend's root: what is put in front of the request's path, or replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    template: Template,
    rewrite: bool,
}

/// Why a root is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    #[error("the root has a `?`: a query is only possible with rewrite: true")]
    Query,
    #[error("${{req.uri}} has the query of the request in it, which is only possible with rewrite: true")]
    Uri,
    #[error("the root has a `#`: a fragment is never sent to a server")]
    Fragment,
    #[error("the root has a segment of one or two dots: write the path that is meant")]
    DotSegment,
}

/// Why no target path could be made for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    #[error("the rewritten path has a segment of one or two dots")]
    DotSegment,
    #[error("the rewritten path and query have more than {} bytes", Root::MAX_EXPANSION)]
    TooLong,
}

impl Root {
    /// The most bytes that an expanded root may have: an expression can repeat what a client sends.
    pub const MAX_EXPANSION: usize = 64 << 10;

    /// With `rewrite` the root replaces the whole path, else it is a prefix.
    pub fn parse(text: &str, rewrite: bool) -> Result<Self, RootError> {
        let template = Template::parse(text)?;
        if template.literals().any(|literal| literal.contains('#')) {
            return Err(RootError::Fragment);
        }
        if !rewrite && template.literals().any(|literal| literal.contains('?')) {
            return Err(RootError::Query);
        }
        if !rewrite && template.has_uri() {
            return Err(RootError::Uri);
        }
        // With expressions a segment is only known when it is expanded.
        if template.constant().is_some_and(|text| written_has_dot_segment(text.as_bytes())) {
            return Err(RootError::DotSegment);
        }
        Ok(Self { template, rewrite })
    }

    /// Writes the path and the query of the upstream request to the end of `out`, which is left as it was on an error.
    /// `rest` is what of the request's path follows the root, unless the root replaces it.
    pub(crate) fn write<H: RequestHead>(
        &self,
        head: &H,
        scope: Scope<'_>,
        rest: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), RewriteError> {
        let start = out.len();
        let result = self.write_unchecked(head, scope, rest, out, start);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn write_unchecked<H: RequestHead>(
        &self,
        head: &H,
        scope: Scope<'_>,
        rest: &str,
        out: &mut Vec<u8>,
        start: usize,
    ) -> Result<(), RewriteError> {
        if !self.template.begins_with_slash() {
            out.push(b'/');
        }
        let from = out.len();
        let limit = start + Self::MAX_EXPANSION;
        let written = Expansion::new(head, scope, out).write(&self.template, limit);
        if out.len() > limit {
            return Err(RewriteError::TooLong);
        }
        // The slash that was put in front is one too many if the expansion begins with one.
        if from > start && out.get(from) == Some(&b'/') {
            out.remove(start);
        }
        if self.template.constant().is_none() && written_has_dot_segment(out.get(start..).unwrap_or_default())
        {
            return Err(RewriteError::DotSegment);
        }
        if !self.rewrite {
            join(out, start, rest);
        }
        if let Some(query) = head.query().filter(|_| !written.request_query) {
            push_joined_query(out, query, written.query);
        }
        Ok(())
    }
}

/// Appends `rest` with exactly one slash between. An empty rest appends nothing.
fn join(out: &mut Vec<u8>, start: usize, rest: &str) {
    if rest.is_empty() {
        return;
    }
    while out.len() > start && out.last() == Some(&b'/') {
        out.pop();
    }
    out.push(b'/');
    out.extend_from_slice(rest.trim_start_matches('/').as_bytes());
}

fn push_joined_query(out: &mut Vec<u8>, query: &str, has_query: bool) {
    match out.last() {
        _ if !has_query => out.push(b'?'),
        Some(b'?' | b'&') => {}
        _ if query.is_empty() => {}
        _ => out.push(b'&'),
    }
    push_query(out, query);
}

/// Whether the path of a target has a segment `.` or `..`, also percent-encoded.
fn written_has_dot_segment(target: &[u8]) -> bool {
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    path.split(|byte| *byte == b'/').any(is_dot_segment)
}

fn is_dot_segment(mut segment: &[u8]) -> bool {
    let mut dots = 0;
    while !segment.is_empty() {
        segment = match segment {
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return false,
        };
        dots += 1;
    }
    matches!(dots, 1 | 2)
}

#[cfg(test)]
mod tests;
