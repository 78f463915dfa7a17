//! A file's text, cut into its documents.

use std::ops::Range;

/// One document: the part of the text that a YAML parser needs for it, and where its content starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) range: Range<usize>,
    /// Lines of the file before the chunk.
    pub(crate) lines_before: u64,
    /// Line and column, from 1 and within the file, of the first character that is neither comment nor marker.
    pub(crate) start: (u64, u64),
}

/// Cuts at `---` and `...`. That needs no YAML parser: a line that begins with one of them is a marker wherever it
/// stands, also inside a quoted or block scalar (YAML 1.2.2, 9.1.2 and rule `c-forbidden`).
///
/// Each document by itself, so that one broken document doesn't hide the others, and so that an edit costs only the
/// documents that it touches. Chunks with nothing but comments and directives are left out.
pub(crate) fn split(text: &str) -> Vec<Chunk> {
    let mut cutter = Cutter::default();
    let mut offset = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        // A byte order mark is no content (YAML 1.2.2, 5.2).
        cutter.line(line.trim_start_matches('\u{feff}'), number, offset, offset + line.len());
        offset += line.len();
    }
    cutter.finish(offset);
    cutter.chunks
}

#[derive(Default)]
struct Cutter {
    chunks: Vec<Chunk>,
    from: usize,
    lines_before: u64,
    /// Whether a `---` was seen since the last cut.
    opened: bool,
    start: Option<(u64, u64)>,
}

impl Cutter {
    fn line(&mut self, line: &str, number: u64, offset: usize, end: usize) {
        if let Some(rest) = marker(line, "---") {
            if self.opened || self.start.is_some() {
                self.cut(offset, number - 1);
            }
            self.opened = true;
            self.content(rest, number, line.len() - rest.len());
        } else if marker(line, "...").is_some() {
            self.cut(end, number);
        } else if self.opened || !line.starts_with('%') {
            self.content(line, number, 0);
        }
    }

    /// Notes where content starts: `rest` is what stands behind `before` bytes of the line.
    fn content(&mut self, rest: &str, number: u64, before: usize) {
        let trimmed = rest.trim_start();
        if self.start.is_none() && !trimmed.is_empty() && !trimmed.starts_with('#') {
            let column = before + rest.len() - trimmed.len() + 1;
            self.start = Some((number, column as u64));
        }
    }

    fn cut(&mut self, end: usize, lines: u64) {
        self.finish(end);
        self.from = end;
        self.lines_before = lines;
    }

    fn finish(&mut self, end: usize) {
        if let Some(start) = self.start.take() {
            self.chunks.push(Chunk { range: self.from..end, lines_before: self.lines_before, start });
        }
        self.opened = false;
    }
}

/// What follows the marker on its line, if the line is one.
fn marker<'l>(line: &'l str, mark: &str) -> Option<&'l str> {
    let rest = line.strip_prefix(mark)?;
    rest.chars().next().is_none_or(char::is_whitespace).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(&str, u64, (u64, u64))> {
        split(text).into_iter().map(|c| (&text[c.range], c.lines_before, c.start)).collect()
    }

    #[test]
    fn one_document_without_a_marker() {
        assert_eq!(cut("# hello\na: 1\n"), [("# hello\na: 1\n", 0, (2, 1))]);
    }

    #[test]
    fn documents_keep_their_lines() {
        let text = "# licence\n---\na: 1\n---\n\n# second\n  b: 2\n";
        let first = ("# licence\n---\na: 1\n", 0, (3, 1));
        assert_eq!(cut(text), [first, ("---\n\n# second\n  b: 2\n", 3, (7, 3))]);
    }

    #[test]
    fn content_behind_the_marker_and_windows_line_ends() {
        assert_eq!(
            cut("--- {a: 1}\r\n---\r\nb: 2\r\n"),
            [("--- {a: 1}\r\n", 0, (1, 5)), ("---\r\nb: 2\r\n", 1, (3, 1)),]
        );
    }

    #[test]
    fn empty_documents_are_left_out() {
        assert_eq!(cut("---\n# nothing\n---\n---\na: 1\n...\n# end\n"), [("---\na: 1\n...\n", 3, (5, 1))]);
        assert_eq!(cut(""), []);
    }

    #[test]
    fn directives_stay_with_their_document() {
        assert_eq!(cut("%YAML 1.2\n---\na: 1\n"), [("%YAML 1.2\n---\na: 1\n", 0, (3, 1))]);
    }

    #[test]
    fn dashes_that_are_no_marker() {
        assert_eq!(cut("a: |\n  ---\n---x: 1\n").len(), 1);
    }
}
