//! When a certificate is valid (RFC 5280, 4.1.2.5), as text that sorts by time: `20260131235959Z`, a GeneralizedTime in UTC.

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: String,
    pub(super) not_after: String,
}

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The field `version`.
const EXPLICIT_0: u8 = 0xa0;

/// `None` if it can't be found: whoever uses the certificate finds out what is wrong with it.
pub(super) fn of(certificate: &[u8]) -> Option<Validity> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if let Some((_, after)) = element(rest, EXPLICIT_0) {
        rest = after;
    }
    // Serial number, signature algorithm, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = element(rest, tag)?.1;
    }
    let (validity, _) = element(rest, SEQUENCE)?;
    let (not_before, rest) = time(validity)?;
    let (not_after, _) = time(rest)?;
    Some(Validity { not_before, not_after })
}

/// For people: `2026-01-31 23:59:59 UTC`.
pub(super) fn shown(time: &str) -> String {
    let part = |from: usize, to: usize| time.get(from..to).unwrap_or_default();
    let (date, clock) = ([part(0, 4), part(4, 6), part(6, 8)], [part(8, 10), part(10, 12), part(12, 14)]);
    format!("{} {} UTC", date.join("-"), clock.join(":"))
}

/// The content of the first element, if it has this tag, and what follows it (X.690, 8.1).
fn element(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    (*tag == wanted).then(|| rest.split_at_checked(length)).flatten()
}

fn time(bytes: &[u8]) -> Option<(String, &[u8])> {
    if let Some((time, rest)) = element(bytes, GENERALIZED_TIME) {
        return Some((std::str::from_utf8(time).ok()?.to_owned(), rest));
    }
    let (time, rest) = element(bytes, UTC_TIME)?;
    let time = std::str::from_utf8(time).ok()?;
    // Two digits of the year: 50 to 99 are of the last century (RFC 5280, 4.1.2.5.1).
    let century = if time.get(..2)? < "50" { "20" } else { "19" };
    Some((format!("{century}{time}"), rest))
}
