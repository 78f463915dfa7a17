//! Error answers for people.

use std::fmt::{self, Write as _};

use crate::answer::{Failure, Place, shown};
use crate::exchange::RequestId;
use crate::http1::fields;

/// Whether a page is wanted rather than JSON: `Accept` names `text/html`, and at least as much as JSON (RFC 9110,
/// 12.5.1). Ranges such as `*/*` don't count, since programs send them.
pub(crate) fn is_wanted<'a>(accept: impl Iterator<Item = &'a [u8]>) -> bool {
    let (mut html, mut json) = (0, 0);
    for range in accept.flat_map(fields::list) {
        let (name, weight) = weighed(range);
        if name.eq_ignore_ascii_case(b"text/html") {
            html = weight.max(html);
        } else if name.eq_ignore_ascii_case(b"application/json") {
            json = weight.max(json);
        }
    }
    html > 0 && html >= json
}

/// A media range and its weight in thousandths; 0 for a weight that is none.
fn weighed(range: &[u8]) -> (&[u8], u32) {
    let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next().unwrap_or_default();
    let given = parts.find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")));
    let weight = given.map_or(Some(1.0), |text| std::str::from_utf8(text).ok()?.parse::<f32>().ok());
    let weight = weight.filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    (name, (weight * 1000.0).round() as u32)
}

/// The page: complete in itself, without scripts, and safe whatever the texts are.
pub(crate) fn error(failure: &Failure, place: Place<'_>, id: Option<RequestId>) -> String {
    const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
        <meta name=\"viewport\" content=\"width=device-width\"><title>";
    const STYLE: &str = "</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:15vh auto;\
        padding:0 1em;color:#222;background:#fafafa}h1{font-size:1.5em}dt{color:#666;float:left;clear:left;width:6em}\
        dd{margin:0 0 0 6.5em;overflow-wrap:anywhere}</style></head><body><h1>";
    let status = failure.reason.status();
    let title = format!("{} {}", status.as_str(), status.canonical_reason().unwrap_or("Error"));
    let mut page = [HEAD, &title, STYLE, &title, "</h1>"].concat();
    if !failure.message.is_empty() {
        // Writing to a string can't fail.
        let _ = write!(page, "<p>{}</p>", Escaped(&failure.message));
    }
    page.push_str("<dl>");
    let known = [
        ("Reason", Some(failure.reason.as_str().to_owned())),
        ("Route", place.route.map(shown)),
        ("Backend", place.backend.map(shown)),
        ("Request", id.map(|id| id.to_string())),
    ];
    for (term, text) in known {
        if let Some(text) = text {
            let _ = write!(page, "<dt>{term}</dt><dd>{}</dd>", Escaped(&text));
        }
    }
    page.push_str("</dl></body></html>\n");
    page
}

/// Text that no markup can be in.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    fn wants(accept: &str) -> bool {
        is_wanted([accept.as_bytes()].into_iter())
    }

    #[test]
    fn a_page_is_for_browsers() {
        assert!(wants("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"));
        assert!(wants("Text/HTML"));
        assert!(wants("application/json;q=0.5, text/html;q=0.5"));
        for accept in [
            "",
            "*/*",
            "text/*",
            "application/json",
            "application/json, text/html;q=0.9",
            "text/html;q=0",
            "text/html;q=x",
        ] {
            assert!(!wants(accept), "{accept}");
        }
        assert!(!is_wanted(std::iter::empty()));
    }

    #[test]
    fn no_text_becomes_markup() {
        let failure = Failure::new(Reason::RouteHeld, "<script>\"x\" & 'y'</script>");
        let route = "route/a<b>/c&d".parse().unwrap();
        let place = Place { route: Some(&route), backend: None };
        let page = error(&failure, place, None);
        assert!(
            page.contains("<p>&lt;script&gt;&quot;x&quot; &amp; &#39;y&#39;&lt;/script&gt;</p>"),
            "{page}"
        );
        assert!(page.contains("<dt>Route</dt><dd>a&lt;b&gt;/c&amp;d</dd>"), "{page}");
        assert!(
            page.contains("<h1>503 Service Unavailable</h1>") && page.contains("<dd>route_held</dd>"),
            "{page}"
        );
        assert!(!page.contains("<dt>Backend</dt>") && !page.contains("<script"), "{page}");
    }
}
