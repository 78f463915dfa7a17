//! "Did you mean": the known name that a wrong one was probably meant to be.

/// The nearest of `known`, if one is near: at most a third of the letters are wrong, whatever their case; `_` and `-`
/// count for nothing, so that `load_balancing` finds `loadBalancing`.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = plain(word);
    let allowed = word.chars().count().div_ceil(3);
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(&word, &plain(name)), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The end of a sentence about an unknown name: the nearest known one, or all of them.
pub(crate) fn hint<'k>(word: &str, known: impl IntoIterator<Item = &'k str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(name) => format!("did you mean {name:?}?"),
        None => format!("known are {}", list(known)),
    }
}

pub(crate) fn list<'k>(names: impl IntoIterator<Item = &'k str>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("{name:?}")).collect();
    names.join(", ")
}

fn plain(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = ["hostname", "port", "loadBalancing", "weight"];
        for (word, meant) in [
            ("prot", "port"),
            ("hostName", "hostname"),
            ("load_balancing", "loadBalancing"),
            ("wieght", "weight"),
        ] {
            assert_eq!(nearest(word, known), Some(meant), "{word}");
        }
        assert_eq!(nearest("shoe", known), None);
        assert_eq!(hint("shoe", ["port", "weight"]), r#"known are "port", "weight""#);
    }
}
