use operator_core::usage::{UsageKey, UsageRow, is_further};
use redb::{Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _};

use super::EmbeddedStore;
use super::tables::USAGE;
use crate::StoreError;
use crate::usage::{counts, counts_text, merged, once};

impl EmbeddedStore {
    pub(super) async fn keep_usage(&self, rows: &[UsageRow]) -> Result<(), StoreError> {
        let rows = rows.to_vec();
        self.write(move |_, database| Ok(keep(database, &merged(&rows))?)).await
    }

    pub(super) async fn read_usage(
        &self,
        window: &str,
        routes: Option<&[String]>,
    ) -> Result<Vec<UsageRow>, StoreError> {
        let (window, routes) = (window.to_owned(), routes.map(<[_]>::to_vec));
        self.read(move |database| {
            let (transaction, mut rows) = (database.begin_read()?, Vec::new());
            match &routes {
                Some(routes) => {
                    for route in once(routes) {
                        let after = successor(route);
                        read(&transaction, (&window, route)..(&window, &after), &mut rows)?;
                    }
                }
                None => read(&transaction, (&window, "")..(&successor(&window), ""), &mut rows)?,
            }
            Ok(rows)
        })
        .await
    }

    pub(super) async fn forget_usage(&self, window: &str) -> Result<(), StoreError> {
        let window = window.to_owned();
        self.write(move |_, database| Ok(forget(database, &window)?)).await
    }
}

fn keep(database: &Database, rows: &[&UsageRow]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    let mut is_idle = true;
    {
        let mut table = transaction.open_table(USAGE)?;
        for UsageRow { of: UsageKey { window, route, consumer }, worker, counts: new } in rows {
            let name = (window.as_str(), route.as_str(), consumer.as_str(), worker.as_str());
            // What is damaged is written anew.
            let kept = table.get(name)?.and_then(|text| counts(text.value()));
            if kept.is_none_or(|kept| is_further(new, &kept)) {
                table.insert(name, counts_text(new).as_str())?;
                is_idle = false;
            }
        }
    }
    // Nothing is to be waited for then.
    if is_idle { Ok(transaction.abort()?) } else { Ok(transaction.commit()?) }
}

/// Appends what is in a range of windows and routes.
fn read(
    transaction: &ReadTransaction,
    range: std::ops::Range<(&str, &str)>,
    rows: &mut Vec<UsageRow>,
) -> Result<(), redb::Error> {
    let (from, to) = (range.start, range.end);
    let table = transaction.open_table(USAGE)?;
    for entry in table.range((from.0, from.1, "", "")..(to.0, to.1, "", ""))? {
        let (name, text) = entry?;
        let (window, route, consumer, worker) = name.value();
        let counts = counts(text.value()).ok_or_else(|| {
            redb::Error::Corrupted(format!("what {worker} has counted of {route} can't be read"))
        })?;
        let of =
            UsageKey { window: window.to_owned(), route: route.to_owned(), consumer: consumer.to_owned() };
        rows.push(UsageRow { of, worker: worker.to_owned(), counts });
    }
    Ok(())
}

fn forget(database: &Database, window: &str) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    let after = successor(window);
    transaction
        .open_table(USAGE)?
        .retain_in((window, "", "", "")..(after.as_str(), "", "", ""), |_, _| false)?;
    Ok(transaction.commit()?)
}

/// The text that comes next in order.
fn successor(text: &str) -> String {
    format!("{text}\0")
}
