use super::*;

fn read(text: &str) -> Result<Option<ResponseHead>, ResponseError> {
    parse(text.as_bytes(), &Limits::default())
}

fn good(text: &str) -> ResponseHead {
    read(text).unwrap().unwrap()
}

#[test]
fn status_lines() {
    for (line, version, status, phrase) in [
        ("HTTP/1.1 200 OK", Version::Http11, 200, "OK"),
        ("HTTP/1.0 404 Not at all found", Version::Http10, 404, "Not at all found"),
        ("HTTP/1.1 999 ", Version::Http11, 999, ""),
        ("HTTP/1.1 204", Version::Http11, 204, ""),
        ("HTTP/1.1 200 \u{e9}t\u{e9}", Version::Http11, 200, "\u{e9}t\u{e9}"),
    ] {
        let text = format!("{line}\r\n\r\n");
        let head = good(&text);
        assert_eq!((head.version, head.status, head.phrase.text(text.as_bytes())), (version, status, phrase));
        assert_eq!(head.len, text.len());
    }
    for line in [
        "HTTP/1.1  200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 +20 OK",
        "HTTP/1.1 200\tOK",
        "HTTP/1.1 200 a\0b",
        "HTTP/1.1 200 a\rb",
        "HTTP/1.2 200 OK",
        "HTTP/2.0 200 OK",
        "http/1.1 200 OK",
        "ICY 200 OK",
        " HTTP/1.1 200 OK",
        "HTTP/1.1",
        "",
    ] {
        assert_eq!(read(&format!("{line}\r\n\r\n")), Err(ResponseError::StatusLine), "{line:?}");
    }
}

#[test]
fn the_end_of_the_body() {
    let length = |fields: &str| good(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).body(false);
    assert_eq!(length("Content-Length: 12\r\n"), ResponseLength::Length(12));
    assert_eq!(length("Content-Length: 0\r\n"), ResponseLength::Length(0));
    assert_eq!(length("transfer-encoding: Chunked\r\n"), ResponseLength::Chunked);
    assert_eq!(length(""), ResponseLength::Close);
    for status in [100, 103, 199, 204, 304] {
        let head = good(&format!("HTTP/1.1 {status} X\r\nContent-Length: 12\r\n\r\n"));
        assert_eq!(head.body(false), ResponseLength::None);
    }
    assert_eq!(
        good("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").body(true),
        ResponseLength::None
    );
}

#[test]
fn ambiguous_framing_is_refused() {
    use ResponseError::{BothLengths, ContentLength, TransferEncoding};
    for (fields, error) in [
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", BothLengths),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", BothLengths),
        ("Content-Length: 3\r\nContent-Length: 3\r\n", ContentLength),
        ("Content-Length: 3\r\nContent-Length: 4\r\n", ContentLength),
        ("Content-Length: 3, 3\r\n", ContentLength),
        ("Content-Length: +3\r\n", ContentLength),
        ("Content-Length: -3\r\n", ContentLength),
        ("Content-Length: 0x3\r\n", ContentLength),
        ("Content-Length: 3 3\r\n", ContentLength),
        ("Content-Length:\r\n", ContentLength),
        ("Content-Length: 1000000000000000000\r\n", ContentLength),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", TransferEncoding),
        ("Transfer-Encoding: gzip, chunked\r\n", TransferEncoding),
        ("Transfer-Encoding: chunked, gzip\r\n", TransferEncoding),
        ("Transfer-Encoding: xchunked\r\n", TransferEncoding),
        ("Transfer-Encoding: identity\r\n", TransferEncoding),
        ("Transfer-Encoding:\r\n", TransferEncoding),
    ] {
        assert_eq!(read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")), Err(error), "{fields:?}");
    }
    // RFC 9112 section 6.1: HTTP/1.0 has no chunks, so what sent this can't be trusted.
    assert_eq!(read("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(TransferEncoding));
}

#[test]
fn lines_and_limits() {
    for (text, error) in [
        ("HTTP/1.1 200 OK\nA: b\n\n", ResponseError::BareLf),
        ("HTTP/1.1 200 OK\r\nA: b\n\r\n", ResponseError::BareLf),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", ResponseError::Field(FieldError::Folded)),
        ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", ResponseError::Field(FieldError::Name)),
        ("HTTP/1.1 200 OK\r\nA\r\n\r\n", ResponseError::Field(FieldError::NoColon)),
        ("HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n", ResponseError::Field(FieldError::Value)),
    ] {
        assert_eq!(read(text), Err(error), "{text:?}");
    }
    let limits = Limits { head_bytes: 40, headers: 2, ..Limits::default() };
    let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(40));
    assert_eq!(parse(long.as_bytes(), &limits), Err(ResponseError::TooLarge));
    let many = b"HTTP/1.1 200 OK\r\nA: b\r\nA: b\r\nA: b\r\n\r\n";
    assert_eq!(parse(many, &limits), Err(ResponseError::TooLarge));
}

#[test]
fn an_incomplete_head_is_awaited_from_its_first_byte() {
    let text = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
    for end in 0..text.len() {
        assert_eq!(read(&text[..end]), Ok(None), "{end}");
    }
    assert!(good(&format!("{text}body")).len == text.len());
}

#[test]
fn persistence() {
    for (text, keeps, nominates) in [
        ("HTTP/1.1 200 OK\r\n\r\n", true, false),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", false, false),
        ("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: x-a, Close\r\n\r\n", false, true),
        ("HTTP/1.0 200 OK\r\n\r\n", false, false),
        ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n", true, false),
        ("HTTP/1.1 101 X\r\nConnection: upgrade\r\n\r\n", true, false),
    ] {
        let head = good(text);
        assert_eq!((head.keep_alive, head.nominates), (keeps, nominates), "{text:?}");
    }
}
