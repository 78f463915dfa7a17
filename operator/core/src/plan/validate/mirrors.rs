use crds::bounds::MAX_MIRRORS;
use crds::{RequestMirror, RouteFilters};
use dataplane_core::filter::Share;
use dataplane_snapshot::Key;
use dataplane_snapshot::wire;

use super::bounds::count;
use super::route::reference;
use crate::plan::findings::{Field, Findings};
use crate::plan::model::ValidMirror;

/// `at` is where the filters are.
pub(super) fn mirrors(
    filters: &RouteFilters,
    key: &Key,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Vec<ValidMirror> {
    let mirrors = &filters.request_mirrors;
    let at = at.name("requestMirrors");
    if filters.is_answering() && !mirrors.is_empty() {
        let message =
            "requestRedirect and directResponse answer every request, and none is mirrored: leave it out";
        findings.invalid(&at, message);
    }
    count(mirrors.len(), MAX_MIRRORS, &at, findings);
    let valid = mirrors.iter().enumerate().map(|(index, spec)| {
        let at = at.index(index);
        let share = share(spec, &at, findings);
        let backend = reference(&spec.reference, key, &at.name("ref"), findings);
        ValidMirror { index, backend, share }
    });
    valid.collect()
}

fn share(spec: &RequestMirror, at: &Field<'_>, findings: &mut Findings) -> Option<wire::Fraction> {
    let (share, name, rule) = match (spec.percent, spec.fraction) {
        (None, None) => return None,
        (Some(_), Some(_)) => {
            findings.invalid(at, "has both percent and fraction: write only one of them");
            return None;
        }
        (Some(percent), None) => {
            (wire::Fraction { numerator: percent, denominator: 100 }, "percent", "write 0 to 100")
        }
        (None, Some(crds::Fraction { numerator, denominator })) => {
            let rule = "write a denominator of at least 1, and a numerator that isn't larger";
            (wire::Fraction { numerator, denominator }, "fraction", rule)
        }
    };
    if Share::parse(share).is_err() {
        findings.invalid(&at.name(name), rule);
    }
    Some(share)
}
