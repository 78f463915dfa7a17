//! Says users' mistakes in the log: each once when it appears, and once when it is mended.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_snapshot::Kind;
use operator_core::{Observed, Problem};
use operator_server::leader::Planned;
use tokio::sync::watch;

/// Logs what a source says that no object carries itself, as a file that doesn't parse.
pub(super) async fn log_of_source(mut problems: watch::Receiver<Arc<Vec<Problem>>>) {
    let mut known: Vec<String> = Vec::new();
    loop {
        let now: Vec<String> = problems.borrow_and_update().iter().map(ToString::to_string).collect();
        for problem in now.iter().filter(|problem| !known.contains(problem)) {
            tracing::warn!("{problem}");
        }
        for mended in known.iter().filter(|problem| !now.contains(problem)) {
            tracing::info!("mended: {mended}");
        }
        known = now;
        if problems.changed().await.is_err() {
            return;
        }
    }
}

/// Logs the problems of every object that planning refused, and what speaks against a certificate.
pub(super) async fn log_of_objects(mut planned: watch::Receiver<Option<Arc<Planned>>>) {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let newest = planned.borrow_and_update().clone();
        if let Some(newest) = newest {
            let now = refused(&newest);
            for (key, text) in now.iter().filter(|(key, text)| known.get(*key) != Some(text)) {
                tracing::warn!(object = key, "{text}");
            }
            for key in known.keys().filter(|key| !now.contains_key(*key)) {
                tracing::info!(object = key, "mended or gone");
            }
            known = now;
        }
        if planned.changed().await.is_err() {
            return;
        }
    }
}

fn refused(planned: &Planned) -> BTreeMap<String, String> {
    let statuses = planned.statuses.values().chain(&planned.conflicts);
    statuses
        .filter_map(|status| {
            let problems = match (&status.accepted, &status.resolved_refs) {
                (Err(refusal), _) => &refusal.problems,
                (Ok(_), Err(unresolved)) => &unresolved.problems,
                // Nobody looks into the status of a file.
                (Ok(_), Ok(())) if status.key.kind() == Kind::Certificate && !status.warnings.is_empty() => {
                    &status.warnings
                }
                (Ok(_), Ok(())) => return None,
            };
            let world = &planned.world;
            let mut objects = [&world.routes, &world.backends, &world.certificates].into_iter();
            let observed = objects.find_map(|objects| objects.get(&status.key));
            let texts: Vec<_> =
                problems.iter().map(|problem| placed(problem, observed).to_string()).collect();
            Some((status.key.to_string(), texts.join("; ")))
        })
        .collect()
}

/// The problem with its place, looked up in the file where the parser didn't know it yet.
fn placed(problem: &Problem, observed: Option<&Arc<Observed>>) -> Problem {
    let mut problem = problem.clone();
    if let Some(observed) = observed {
        problem.place = operator_files::place_of(&observed.origin, &problem);
    }
    problem
}
