use crate::path::hex_value;

/// The values of the query parameters called `name`, as sent. A parameter without `=` has an empty value.
pub(crate) fn values<'q>(query: &'q str, name: &str) -> impl Iterator<Item = &'q str> {
    query.split('&').filter(|pair| !pair.is_empty()).filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        equals(key, name).then_some(value)
    })
}

/// Whether `text`, percent-decoded, is `expected`.
pub(crate) fn equals(text: &str, expected: &str) -> bool {
    if is_plain(text) { text == expected } else { decode(text).eq(expected.bytes()) }
}

/// Whether decoding changes nothing.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.bytes().any(|byte| matches!(byte, b'%' | b'+'))
}

/// The percent-decoded bytes, `+` being a space as HTML forms send it. A `%` without two digits stands for itself.
pub(crate) fn decode(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (first, tail) = rest.split_first()?;
        if *first == b'%'
            && let [high, low, tail @ ..] = tail
            && let (Some(high), Some(low)) = (hex_value(*high), hex_value(*low))
        {
            rest = tail;
            return Some(high << 4 | low);
        }
        rest = tail;
        Some(if *first == b'+' { b' ' } else { *first })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_all_values() {
        let of = |query, name| values(query, name).collect::<Vec<_>>();
        assert_eq!(of("a=1&b=2&a=3&&a", "a"), ["1", "3", ""]);
        assert_eq!(of("%61=1", "a"), ["1"]);
        assert_eq!(of("a=b=c", "a"), ["b=c"]);
        assert!(of("", "a").is_empty() && of("", "").is_empty());
    }

    #[test]
    fn decodes_once() {
        let text = |text| String::from_utf8(decode(text).collect()).unwrap();
        assert_eq!(text("a%20b+c"), "a b c");
        assert_eq!(text("%2541"), "%41");
        assert_eq!(text("100%"), "100%");
        assert_eq!(text("%zz%4"), "%zz%4");
    }
}
