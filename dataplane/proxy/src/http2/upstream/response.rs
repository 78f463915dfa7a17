use bytes::BytesMut;
use http::header::{self, HeaderMap};
use http::{StatusCode, response};

use crate::http1::piece::Coding;

/// Appends the head of a final response as HTTP/1.1 has it, and answers how its body is to be shown: in chunks, unless its
/// length was told. `ended`: nothing follows. The answer to a HEAD, a 204 and a 304 have no body and keep what their fields
/// say about one.
pub(super) fn head(out: &mut BytesMut, parts: &response::Parts, is_head: bool, ended: bool) -> Coding {
    line(out, parts.status);
    fields(out, &parts.headers);
    let bodiless = is_head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let coding = if bodiless || parts.headers.contains_key(header::CONTENT_LENGTH) {
        Coding::Plain
    } else if ended {
        out.extend_from_slice(b"content-length: 0\r\n");
        Coding::Plain
    } else {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        Coding::Chunked
    };
    out.extend_from_slice(b"\r\n");
    coding
}

/// Appends an interim response (RFC 9110 section 15.2). Nobody can switch protocols in HTTP/2 (RFC 9113 section 8.6).
pub(super) fn interim(out: &mut BytesMut, response: &http::Response<()>) {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    line(out, response.status());
    fields(out, response.headers());
    out.extend_from_slice(b"\r\n");
}

fn line(out: &mut BytesMut, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.extend_from_slice(b" ");
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The fields of a head. The strict parser of HTTP/1 reads them next, so that a value that HTTP/2 lets through and HTTP/1
/// doesn't ends there.
fn fields(out: &mut BytesMut, fields: &HeaderMap) {
    for (name, value) in fields {
        out.reserve(name.as_str().len() + value.len() + 4);
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(
        status: u16,
        fields: &[(&'static str, &'static str)],
        is_head: bool,
        ended: bool,
    ) -> (String, Coding) {
        let mut response = http::Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let (parts, ()) = response.body(()).unwrap().into_parts();
        let mut out = BytesMut::new();
        let shown = head(&mut out, &parts, is_head, ended);
        (String::from_utf8(out.to_vec()).unwrap(), shown)
    }

    #[test]
    fn a_body_is_framed_by_what_is_known_of_it() {
        let length = ("content-length", "3");
        for (fields, is_head, ended, text, expected) in [
            (&[length][..], false, false, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", Coding::Plain),
            (&[], false, true, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Coding::Plain),
            (&[], false, false, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", Coding::Chunked),
            (&[length], true, true, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", Coding::Plain),
            (&[], true, true, "HTTP/1.1 200 OK\r\n\r\n", Coding::Plain),
        ] {
            assert_eq!(shown(200, fields, is_head, ended), (text.to_owned(), expected));
        }
        assert_eq!(shown(204, &[], false, true).0, "HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(
            shown(304, &[length], false, true).0,
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 3\r\n\r\n"
        );
        assert_eq!(shown(299, &[], false, true).0, "HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n");
    }

    #[test]
    fn an_interim_response_has_no_framing_and_101_is_none() {
        let mut out = BytesMut::new();
        for status in [101, 103] {
            interim(
                &mut out,
                &http::Response::builder().status(status).header("link", "</a>").body(()).unwrap(),
            );
        }
        assert_eq!(&out[..], b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    }
}
