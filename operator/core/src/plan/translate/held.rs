use std::collections::BTreeMap;

use dataplane_snapshot::{Key, Object, wire};

use super::{fits, object};
use crate::Problem;
use crate::conditions::shortened;

/// The longest reason in bytes: it comes in every 503, and the status has it in full.
const MAX_REASON: usize = 1024;

/// What stands in for an object that can't be planned. `route` says where a route's 503 is answered.
///
/// Made from the object alone, not from what was planned before, and without places in files: so every leader holds it
/// alike, and an edit elsewhere in the file changes nothing.
pub(in crate::plan) fn held(
    key: &Key,
    labels: &BTreeMap<String, String>,
    problems: &[Problem],
    route: Option<wire::Route>,
) -> Object {
    let reason = reason(problems);
    let held = |labels: &_, route| {
        object(key.clone(), labels, wire::Payload::Held(wire::Held { reason: reason.clone(), route }))
    };
    let route = route.filter(|route| route.rules.iter().any(|rule| !rule.matches.is_empty()));
    let full = held(labels, route);
    if fits(&full) {
        return full;
    }
    // Without its labels nobody knows whom it is for: they are the last to go.
    let bare = held(labels, None);
    if fits(&bare) { bare } else { held(&BTreeMap::new(), None) }
}

fn reason(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        if !text.is_empty() {
            text.push_str("; ");
        }
        if !problem.field.is_empty() {
            text.push_str(&problem.field);
            text.push_str(": ");
        }
        text.push_str(&problem.message);
        if text.len() > MAX_REASON {
            break;
        }
    }
    shortened(text, MAX_REASON)
}
