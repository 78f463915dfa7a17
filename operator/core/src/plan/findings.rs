use std::fmt;

use crate::{Problem, Refusal, RefusalReason};

/// Where in an object something is, as a chain on the stack: text is made only for a problem.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field<'a> {
    Root(&'a str),
    Name(&'a Field<'a>, &'static str),
    Index(&'a Field<'a>, usize),
}

impl Field<'_> {
    pub(super) const SPEC: Field<'static> = Field::Root("spec");
    /// The object as a whole.
    pub(super) const WHOLE: Field<'static> = Field::Root("");

    pub(super) const fn name(&self, name: &'static str) -> Field<'_> {
        Field::Name(self, name)
    }

    pub(super) const fn index(&self, index: usize) -> Field<'_> {
        Field::Index(self, index)
    }
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(name) => f.write_str(name),
            Self::Name(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// What is wrong with one object. Validation goes on after the first problem, so that people see all of them at once.
#[derive(Debug, Default)]
pub(super) struct Findings {
    invalid: Vec<Problem>,
    unsupported: Vec<Problem>,
}

impl Findings {
    pub(super) fn invalid(&mut self, at: &Field<'_>, message: impl Into<String>) {
        self.invalid.push(problem(at, message.into()));
    }

    /// For a property whose behaviour comes in a later version. `instead` says what works now.
    pub(super) fn unsupported(&mut self, at: &Field<'_>, instead: impl fmt::Display) {
        self.unsupported_as_said(at, format_args!("not supported yet: {instead}"));
    }

    /// As [`Self::unsupported`], with a whole sentence.
    pub(super) fn unsupported_as_said(&mut self, at: &Field<'_>, message: impl fmt::Display) {
        self.unsupported.push(problem(at, message.to_string()));
    }

    /// How many there are so far.
    pub(super) const fn count(&self) -> usize {
        self.invalid.len() + self.unsupported.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.invalid.is_empty() && self.unsupported.is_empty()
    }

    /// What is plainly wrong comes before what isn't supported yet and decides the reason.
    pub(super) fn into_refusal(self) -> Option<Refusal> {
        let reason = match (self.invalid.is_empty(), self.unsupported.is_empty()) {
            (true, true) => return None,
            (true, false) => RefusalReason::NotSupportedYet,
            (false, _) => RefusalReason::Invalid,
        };
        let mut problems = self.invalid;
        problems.extend(self.unsupported);
        Some(Refusal { reason, problems })
    }
}

pub(super) fn problem(at: &Field<'_>, message: impl Into<String>) -> Problem {
    Problem { field: at.to_string(), message: message.into(), place: None }
}
