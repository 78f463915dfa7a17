use bytes::BytesMut;
use http::header::{self, HeaderMap, HeaderName};
use http::{StatusCode, response};

use crate::grpc;
use crate::http1::piece::Coding;

/// Appends the head of a final response as HTTP/1.1 has it, and answers how its body is to be shown: in chunks, unless its
/// length was told. `ended`: nothing follows. The answer to a HEAD, a 204 and a 304 have no body and keep what their fields
/// say about one.
///
/// HTTP/1.1 has trailers only behind chunks, and HTTP/2 behind every body: one that may have some is shown in chunks also
/// where its length was told.
pub(super) fn head(out: &mut BytesMut, parts: &response::Parts, is_head: bool, ended: bool) -> Coding {
    line(out, parts.status);
    let bodiless = is_head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let has_length = parts.headers.contains_key(header::CONTENT_LENGTH);
    let chunked = !bodiless && !ended && (!has_length || may_have_trailers(&parts.headers));
    fields(out, &parts.headers, |name| chunked && *name == header::CONTENT_LENGTH);
    let coding = if chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        Coding::Chunked
    } else {
        if !bodiless && !has_length {
            out.extend_from_slice(b"content-length: 0\r\n");
        }
        Coding::Plain
    };
    out.extend_from_slice(b"\r\n");
    coding
}

/// It says so (RFC 9110 section 6.6.2), or is an answer of gRPC, whose status is in them.
fn may_have_trailers(fields: &HeaderMap) -> bool {
    let types = fields.get_all(header::CONTENT_TYPE).iter().map(http::HeaderValue::as_bytes);
    fields.contains_key(header::TRAILER) || grpc::is_call(types)
}

/// How many bytes the body of a response has whose head was shown so. `None`: that isn't told by the head.
pub(super) fn length(parts: &response::Parts, is_head: bool, coding: Coding) -> Option<u64> {
    if coding == Coding::Chunked {
        return None;
    }
    if is_head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Some(0);
    }
    parts.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Appends an interim response (RFC 9110 section 15.2). Nobody can switch protocols in HTTP/2 (RFC 9113 section 8.6).
pub(super) fn interim(out: &mut BytesMut, response: &http::Response<()>) {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    line(out, response.status());
    fields(out, response.headers(), |_| false);
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
fn fields(out: &mut BytesMut, fields: &HeaderMap, is_left_out: impl Fn(&HeaderName) -> bool) {
    for (name, value) in fields.iter().filter(|(name, _)| !is_left_out(name)) {
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
        let (grpc, announced) = (("content-type", "application/grpc+proto"), ("trailer", "x-sum"));
        let chunked =
            "HTTP/1.1 200 OK\r\ncontent-type: application/grpc+proto\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(shown(200, &[grpc, length], false, false), (chunked.to_owned(), Coding::Chunked));
        assert_eq!(shown(200, &[announced, length], false, false).1, Coding::Chunked);
        assert_eq!(shown(200, &[grpc, length], false, true).1, Coding::Plain);
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
