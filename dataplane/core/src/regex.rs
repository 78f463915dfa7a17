use std::cmp::Ordering;
use std::fmt;

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Hir, Look};

/// A regular expression that must match the whole text, byte by byte, with Unicode classes off.
///
/// It is kept as a table (a dense DFA): a match takes one step per byte, never allocates, and never takes the lock that
/// guards the scratch space of other engines. The price is that an expression whose table would be large is refused.
pub struct FullRegex {
    source: Box<str>,
    dfa: dense::DFA<Vec<u32>>,
}

/// Why a regular expression is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegexError {
    #[error("the regular expression has {0} bytes; at most {max} are allowed", max = FullRegex::MAX_BYTES)]
    TooLong(usize),
    #[error("not a regular expression: {0}")]
    Syntax(String),
    #[error(
        "the regular expression needs too large a table; write it with smaller repetitions or fewer alternatives"
    )]
    TooLarge,
}

/// A regular expression that must match somewhere in a text; for the rest the same as [`FullRegex`].
pub struct FoundRegex {
    source: Box<str>,
    dfa: dense::DFA<Vec<u32>>,
}

impl FoundRegex {
    pub fn parse(source: &str) -> Result<Self, RegexError> {
        let dfa = table(&syntax(source)?, StartKind::Unanchored)?;
        Ok(Self { source: source.into(), dfa })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn is_in(&self, text: &[u8]) -> bool {
        matches!(self.dfa.try_search_fwd(&Input::new(text).earliest(true)), Ok(Some(_)))
    }
}

fn syntax(source: &str) -> Result<Hir, RegexError> {
    if source.len() > FullRegex::MAX_BYTES {
        return Err(RegexError::TooLong(source.len()));
    }
    regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .nest_limit(50)
        .build()
        .parse(source)
        .map_err(|error| RegexError::Syntax(summary(&error)))
}

fn table(hir: &Hir, start: StartKind) -> Result<dense::DFA<Vec<u32>>, RegexError> {
    let nfa = thompson::Compiler::new()
        .configure(thompson::Config::new().utf8(false).nfa_size_limit(Some(FullRegex::MAX_SCRATCH)))
        .build_from_hir(hir)
        .map_err(|_| RegexError::TooLarge)?;
    let config = dense::Config::new()
        .start_kind(start)
        .dfa_size_limit(Some(FullRegex::MAX_TABLE))
        .determinize_size_limit(Some(FullRegex::MAX_SCRATCH));
    dense::Builder::new().configure(config).build_from_nfa(&nfa).map_err(|_| RegexError::TooLarge)
}

impl FullRegex {
    /// The longest accepted source, in bytes.
    pub const MAX_BYTES: usize = 1024;
    /// The largest accepted table, in bytes.
    const MAX_TABLE: usize = 256 << 10;
    /// The most memory for making the table, in bytes. It bounds the time that a hostile expression can take.
    const MAX_SCRATCH: usize = 1 << 20;

    pub fn parse(source: &str) -> Result<Self, RegexError> {
        // Joined as syntax trees: the source can't break out of its place as it could in a joined text.
        let whole = Hir::concat(vec![syntax(source)?, Hir::look(Look::End)]);
        let dfa = table(&whole, StartKind::Anchored)?;
        Ok(Self { source: source.into(), dfa })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn matches(&self, text: &[u8]) -> bool {
        let input = Input::new(text).anchored(Anchored::Yes);
        matches!(self.dfa.try_search_fwd(&input), Ok(Some(_)))
    }
}

/// The parser's message without its drawing of the place, in one line.
fn summary(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => {
            format!("{} at character {}", error.kind(), error.span().start.column)
        }
        regex_syntax::Error::Translate(error) => {
            format!("{} at character {}", error.kind(), error.span().start.column)
        }
        other => other.to_string().lines().last().unwrap_or_default().to_owned(),
    }
}

impl fmt::Debug for FullRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FullRegex({})", self.source)
    }
}

impl fmt::Debug for FoundRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FoundRegex({})", self.source)
    }
}

impl PartialEq for FoundRegex {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for FoundRegex {}

impl PartialEq for FullRegex {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for FullRegex {}

impl PartialOrd for FullRegex {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FullRegex {
    fn cmp(&self, other: &Self) -> Ordering {
        self.source.cmp(&other.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(source: &str, text: &str) -> bool {
        FullRegex::parse(source).unwrap().matches(text.as_bytes())
    }

    #[test]
    fn matches_the_whole_text_only() {
        assert!(matches("[0-9]+", "123"));
        for text in ["", "a123", "123a", "1 2", "1\n"] {
            assert!(!matches("[0-9]+", text), "{text:?}");
        }
        assert!(matches("a|ab", "ab"), "the first alternative doesn't hide the longer one");
        assert!(matches("", ""));
        assert!(matches("^a$", "a"));
    }

    #[test]
    fn finds_in_any_place() {
        let found = |source: &str, text: &[u8]| FoundRegex::parse(source).unwrap().is_in(text);
        assert!(found("ok", b"all is ok here"));
        assert!(found("(?i)STATUS.*up", b"{\"status\":\"up\"}"));
        assert!(found("a|b", b"\xffb"), "also in what isn't UTF-8");
        assert!(!found("^ok$", b"not ok"));
        assert!(!found("up.*down", b"up\ndown"), "a dot is no end of a line");
        assert!(found("", b""));
        assert!(FoundRegex::parse("(").is_err());
    }

    #[test]
    fn classes_are_ascii() {
        assert!(matches(r"\w+", "abc_1"));
        assert!(!matches(r"\w+", "é"));
        assert!(matches("(?i)abc", "aBC"));
        assert!(matches(r"\d{2}\b.*", "12-x"));
    }

    #[test]
    fn the_source_stays_in_its_place() {
        assert!(matches!(FullRegex::parse("a)|(b"), Err(RegexError::Syntax(_))));
        assert!(!matches("(?x)a #", "ab"));
    }

    #[test]
    fn refuses_with_a_sentence() {
        let error = FullRegex::parse("[0-9").unwrap_err().to_string();
        assert_eq!(error, "not a regular expression: unclosed character class at character 1");
        assert!(matches!(FullRegex::parse(r"\p{Greek}"), Err(RegexError::Syntax(_))));
        assert_eq!(FullRegex::parse("(a|b)*a(a|b){24}"), Err(RegexError::TooLarge));
        assert_eq!(FullRegex::parse(&"a".repeat(1025)), Err(RegexError::TooLong(1025)));
    }
}
