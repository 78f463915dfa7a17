//! What is particular about calls of gRPC: how a proxy's own failures are told to them
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use crate::answer::Failure;
use crate::http1::response::{field, status_line};

/// Whether a message with these values of `Content-Type` is one of gRPC. That of browsers (gRPC-Web) isn't.
pub(crate) fn is_call<'a>(mut content_types: impl Iterator<Item = &'a [u8]>) -> bool {
    const TYPE: &[u8] = b"application/grpc";
    content_types.any(|value| {
        let (front, rest) = value.split_at_checked(TYPE.len()).unwrap_or_default();
        front.eq_ignore_ascii_case(TYPE)
            && matches!(rest.trim_ascii_start().first(), None | Some(b'+' | b';'))
    })
}

/// Appends status line and fields of a failure as a call understands it: no message, and the status in the head.
pub(crate) fn failure(out: &mut Vec<u8>, failure: &Failure) {
    status_line(out, http::StatusCode::OK);
    field(out, b"content-type", b"application/grpc");
    field(out, b"grpc-status", code(failure.reason.status().as_u16()).as_bytes());
    let mut text = failure.reason.as_str().to_owned();
    if !failure.message.is_empty() {
        text.push_str(": ");
        text.push_str(&failure.message);
    }
    field(out, b"grpc-message", &percent_encoded(&text));
}

/// <https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>
const fn code(status: u16) -> &'static str {
    match status {
        400 => "13",
        401 => "16",
        403 => "7",
        404 => "12",
        429 | 502..=504 => "14",
        _ => "2",
    }
}

fn percent_encoded(text: &str) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(byte);
        } else {
            let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
            encoded.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    #[test]
    fn a_call_is_known_by_its_type() {
        for value in
            ["application/grpc", "Application/gRPC", "application/grpc+proto", "application/grpc; x=y"]
        {
            assert!(is_call([value.as_bytes()].into_iter()), "{value}");
        }
        for value in
            ["", "application/grpc-web", "application/grpc-web+proto", "application/grp", "text/plain"]
        {
            assert!(!is_call([value.as_bytes()].into_iter()), "{value}");
        }
    }

    #[test]
    fn a_failure_has_the_code_of_its_status_and_a_message_of_plain_characters() {
        for (reason, code) in [
            (Reason::MalformedHead, "13"),
            (Reason::AddressDenied, "7"),
            (Reason::NoRoute, "12"),
            (Reason::UpstreamClosed, "14"),
            (Reason::NoTarget, "14"),
            (Reason::CallTimeout, "14"),
            (Reason::BodyTooLarge, "2"),
        ] {
            let mut out = Vec::new();
            failure(&mut out, &Failure::new(reason, "100 % \"é\"\n"));
            let text = String::from_utf8(out).unwrap();
            let reason = reason.as_str();
            assert_eq!(
                text,
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: {code}\r\n\
                     grpc-message: {reason}: 100 %25 \"%C3%A9\"%0A\r\n"
                )
            );
        }
    }
}
