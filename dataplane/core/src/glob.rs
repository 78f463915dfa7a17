use std::cmp::{Ordering, Reverse};

/// A text in which `*` stands for any characters, also none. Everything else stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    source: Box<str>,
}

impl Glob {
    pub fn new(source: impl Into<Box<str>>) -> Self {
        Self { source: source.into() }
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn matches(&self, text: &[u8]) -> bool {
        self.matches_pieces(&[text])
    }

    /// Whether the text that the pieces make together matches. On a mismatch the last `*` takes one more byte, so the
    /// time is bounded by the product of both lengths.
    pub fn matches_pieces(&self, pieces: &[&[u8]]) -> bool {
        let pattern = self.source.as_bytes();
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let at = |mut index: usize| {
            pieces.iter().find_map(|piece| {
                let found = piece.get(index);
                index = index.saturating_sub(piece.len());
                found
            })
        };
        let (mut p, mut t) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while t < length {
            if pattern.get(p) == Some(&b'*') {
                star = Some((p, t));
                p += 1;
            } else if pattern.get(p).is_some_and(|byte| at(t) == Some(byte)) {
                p += 1;
                t += 1;
            } else if let Some((star_p, star_t)) = star {
                star = Some((star_p, star_t + 1));
                p = star_p + 1;
                t = star_t + 1;
            } else {
                return false;
            }
        }
        pattern.get(p..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
    }

    fn literal_bytes(&self) -> usize {
        self.source.bytes().filter(|byte| *byte != b'*').count()
    }
}

/// More literal text is more specific and comes first; then by text, so that the order is total.
impl Ord for Glob {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |glob: &Self| Reverse(glob.literal_bytes());
        key(self).cmp(&key(other)).then_with(|| self.source.cmp(&other.source))
    }
}

impl PartialOrd for Glob {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_is_any_text() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*", "a", true),
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("*.js", "x.y.js", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*ab", "aab", true),
            ("a.c", "abc", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn sees_pieces_as_one_text() {
        let glob = Glob::new("/a?x=*1");
        assert!(glob.matches_pieces(&[b"/a", b"?", b"x=21"]));
        assert!(!glob.matches_pieces(&[b"/a", b"?", b"y=21"]));
        assert!(!glob.matches_pieces(&[b"/a?x=", b""]));
    }

    #[test]
    fn more_literal_text_goes_first() {
        let mut globs = ["*", "b*", "a*", "ab*"].map(Glob::new);
        globs.sort();
        assert_eq!(globs.map(|glob| glob.source.into_string()), ["ab*", "a*", "b*", "*"]);
    }
}
