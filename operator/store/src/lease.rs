use std::time::Duration;

/// Who wants to do a job that only one process does at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Unique among all.
    pub id: String,
    /// Where the others find it.
    pub url: String,
}

/// Who does the job now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// It is the candidate that asked.
    pub is_me: bool,
    /// Where it is found.
    pub url: String,
    /// Higher than that of every holder before: what it writes is fenced by it.
    pub term: u64,
}

/// In whole milliseconds.
pub(crate) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
