/// The values of the cookies called `name` in one `Cookie` field (RFC 6265, 4.2.1), as sent.
pub(crate) fn values<'c>(field: &'c [u8], name: &[u8]) -> impl Iterator<Item = &'c [u8]> {
    field.split(|byte| *byte == b';').filter_map(move |pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let key = parts.next()?.trim_ascii();
        let value = parts.next()?.trim_ascii();
        (key == name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_all_values() {
        let of = |field: &'static str| values(field.as_bytes(), b"a").collect::<Vec<_>>();
        assert_eq!(of("a=1; b=2;a=3"), [b"1", b"3"]);
        assert_eq!(of("a=x=y"), [b"x=y"]);
        assert!(of("a; A=1; ba=2").is_empty());
    }
}
