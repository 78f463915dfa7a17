//! What all stores do with counts before they keep them, and how these are written.

use std::collections::{BTreeMap, BTreeSet};

use dataplane_snapshot::wire::UsageCounts;
use operator_core::usage::{UsageKey, UsageRow, is_further, progress};

use crate::StoreError;
use crate::shared::Life;

/// The longest name of what is counted, in bytes of all its parts: PostgreSQL has no longer ones in an index.
const MAX_NAME: usize = 2_000;

/// The rows that say something, in the order of their names and one of each: the one that is further.
pub(crate) fn merged(rows: &[UsageRow]) -> Vec<&UsageRow> {
    let mut furthest: BTreeMap<_, &UsageRow> = BTreeMap::new();
    // Nothing was counted in a row without progress.
    for row in rows.iter().filter(|row| progress(&row.counts) > 0 && can_be_kept(row)) {
        let kept = furthest.entry((&row.of, row.worker.as_str())).or_insert(row);
        if is_further(&row.counts, &kept.counts) {
            *kept = row;
        }
    }
    furthest.into_values().collect()
}

/// What a server refuses would be sent again and again, and keep the other rows out.
fn can_be_kept(row: &UsageRow) -> bool {
    let UsageRow { of, worker, .. } = row;
    let names = [&of.window, &of.route, &of.consumer, worker];
    let can = names.iter().map(|name| name.len()).sum::<usize>() <= MAX_NAME
        && !names.iter().any(|name| name.contains('\0'));
    if !can {
        tracing::warn!(
            route = of.route,
            worker,
            "a count isn't kept, as the name of the consumer is too long"
        );
    }
    can
}

/// Parts of at most `most` rows, each of one window. The rows are in the order of their names.
pub(crate) fn parts<'r>(
    rows: &'r [&'r UsageRow],
    most: usize,
) -> impl Iterator<Item = (&'r str, &'r [&'r UsageRow])> {
    rows.chunk_by(|one, next| one.of.window == next.of.window)
        .flat_map(move |group| group.chunks(most))
        .filter_map(|part| Some((part.first()?.of.window.as_str(), part)))
}

/// Each of the routes once.
pub(crate) fn once(routes: &[String]) -> Vec<&str> {
    routes.iter().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Counts as eleven numbers, of which the first three are those that progress is made of.
pub(crate) fn counts_text(counts: &UsageCounts) -> String {
    let UsageCounts { requests, refused, admitted, received, sent, micros, .. } = counts;
    let UsageCounts { status_1xx, status_2xx, status_3xx, status_4xx, status_5xx, .. } = counts;
    format!(
        "{requests} {refused} {admitted} {received} {sent} {micros} \
         {status_1xx} {status_2xx} {status_3xx} {status_4xx} {status_5xx}"
    )
}

/// What a later version may write behind the eleven numbers isn't looked at.
pub(crate) fn counts(text: &str) -> Option<UsageCounts> {
    let mut numbers = text.split(' ');
    let mut next = || numbers.next()?.parse().ok();
    Some(UsageCounts {
        requests: next()?,
        refused: next()?,
        admitted: next()?,
        received: next()?,
        sent: next()?,
        micros: next()?,
        status_1xx: next()?,
        status_2xx: next()?,
        status_3xx: next()?,
        status_4xx: next()?,
        status_5xx: next()?,
    })
}

/// Route, consumer, worker and counts, as tables have them.
pub(crate) type Columns = (String, String, String, String);

/// What the row of a table says of this window.
pub(crate) fn row(
    life: &Life,
    window: &str,
    (route, consumer, worker, text): Columns,
) -> Result<UsageRow, StoreError> {
    let unreadable = || life.corrupt(format!("what {worker} has counted of {route} can't be read"));
    let counts = counts(&text).ok_or_else(unreadable)?;
    Ok(UsageRow { of: UsageKey { window: window.to_owned(), route, consumer }, worker, counts })
}

#[cfg(test)]
#[path = "usage_tests.rs"]
mod tests;
