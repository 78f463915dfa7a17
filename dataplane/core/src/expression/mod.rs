//! `${…}` in a backend's root.
//!
//! `${name}`, `${name:default}`, `${first || second :: default}`. A name without a value gives its default, then the
//! next name of the chain, then the chain's default, and at last `no-<kind>-<name>`. Only the configured text is
//! expanded, and once: what a client sends is never read as an expression.

mod expand;
mod reference;

pub(crate) use expand::{Expansion, Scope, push_query};
use reference::Reference;

use crate::path::{encoded, hex_value};

/// A text with expressions, parsed. Its literal text is already in the spelling of a URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Box<[Part]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Expression(Expression),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Expression {
    alternatives: Box<[Alternative]>,
    default: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Alternative {
    reference: Reference,
    default: Option<Box<str>>,
}

/// Why a template is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    #[error("the text has {0} bytes; at most {max} are allowed", max = Template::MAX_BYTES)]
    TooLong(usize),
    #[error("${{{0} lacks the closing brace")]
    Unclosed(String),
    #[error("${{}} names nothing: write for instance ${{req.pathparams.id}}")]
    Empty,
    #[error(
        "${{{0}}} is not known: write req. or route. and one of their names, for instance req.pathparams.id, \
         req.headers.x-name or route.metadata.key"
    )]
    Unknown(String),
    #[error("${{{0}}} is not supported yet: only names that begin with req. and route. are")]
    NotSupported(String),
    #[error("${{{0}}} lacks what comes after its last dot, for instance {0}id")]
    NoKey(String),
    #[error("${{{0}}} needs a number in quotes, as in route.domains['0']")]
    Index(String),
}

impl Template {
    /// The longest accepted text, in bytes.
    pub const MAX_BYTES: usize = 4096;

    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        if text.len() > Self::MAX_BYTES {
            return Err(ExpressionError::TooLong(text.len()));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once("${") {
            if !literal.is_empty() {
                parts.push(Part::Literal(spell(literal)));
            }
            let (expression, after) =
                after.split_once('}').ok_or_else(|| ExpressionError::Unclosed(after.to_owned()))?;
            parts.push(Part::Expression(Expression::parse(expression)?));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(spell(rest)));
        }
        Ok(Self { parts: parts.into() })
    }

    /// The text itself if it has no expression.
    pub(crate) fn constant(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    pub(crate) fn begins_with_slash(&self) -> bool {
        matches!(self.parts.first(), Some(Part::Literal(text)) if text.starts_with('/'))
    }

    pub(crate) fn literals(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(text) => Some(&**text),
            Part::Expression(_) => None,
        })
    }

    /// Whether it can bring in the request's path together with its query.
    pub(crate) fn has_uri(&self) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Literal(_) => false,
            Part::Expression(expression) => {
                expression.alternatives.iter().any(|one| one.reference == Reference::Uri)
            }
        })
    }
}

impl Expression {
    fn parse(text: &str) -> Result<Self, ExpressionError> {
        let (chain, default) = match text.split_once("::") {
            Some((chain, default)) => (chain, Some(spell(default.trim()))),
            None => (text, None),
        };
        let alternatives = chain.split("||").map(Alternative::parse).collect::<Result<_, _>>()?;
        Ok(Self { alternatives, default })
    }
}

impl Alternative {
    fn parse(text: &str) -> Result<Self, ExpressionError> {
        let (name, default) = match text.split_once(':') {
            Some((name, default)) => (name.trim(), Some(spell(default.trim()))),
            None => (text.trim(), None),
        };
        Ok(Self { reference: Reference::parse(name)?, default })
    }
}

/// The text with everything percent-encoded that a path with a query can't have (RFC 3986, 3.3 and 3.4), so that no
/// configured text can end the request line. A `%` before two digits is an encoding already.
fn spell(text: &str) -> Box<str> {
    let mut spelled = String::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let encoding = *byte == b'%' && matches!(tail, [high, low, ..] if is_hex(*high) && is_hex(*low));
        if encoding || byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?#".contains(byte) {
            spelled.push(char::from(*byte));
        } else {
            spelled.extend(encoded(*byte).map(char::from));
        }
        rest = tail;
    }
    spelled.into()
}

const fn is_hex(byte: u8) -> bool {
    hex_value(byte).is_some()
}

#[cfg(test)]
mod tests;
