/// The whole names, each with a dot at its end, that `host` may stand for, in the order in which they are asked for:
/// resolv.conf(5). A name with at least `ndots` dots is itself first, one with fewer is itself last.
///
/// What ends with a dot is whole, and so is what ends with `localhost` (RFC 6761 section 6.3).
pub fn candidates(host: &str, search: &[String], ndots: usize) -> Vec<String> {
    if host.ends_with('.') {
        return vec![host.to_owned()];
    }
    let itself = format!("{host}.");
    if host.rsplit('.').next().is_some_and(|label| label.eq_ignore_ascii_case("localhost")) {
        return vec![itself];
    }
    let found = search.iter().map(|domain| match domain.trim_end_matches('.') {
        "" => itself.clone(),
        domain => format!("{host}.{domain}."),
    });
    let mut all: Vec<String> = found.collect();
    if host.matches('.').count() >= ndots {
        all.insert(0, itself);
    } else {
        all.push(itself);
    }
    let mut seen = Vec::new();
    all.retain(|name| {
        let first = !seen.contains(name);
        seen.push(name.clone());
        first
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_searched_for_first() {
        let search = ["shop.svc.cluster.local", "svc.cluster.local.", "."].map(str::to_owned);
        let asked = |host, ndots| candidates(host, &search, ndots);
        let users = ["users.shop.svc.cluster.local.", "users.svc.cluster.local.", "users."];
        assert_eq!(asked("users", 1), users);
        let example = ["a.test.", "a.test.shop.svc.cluster.local.", "a.test.svc.cluster.local."];
        assert_eq!(asked("a.test", 1), example);
        assert_eq!(asked("a.test", 5).first().map(String::as_str), Some(example[1]));
        assert_eq!(asked("a.test", 5).last().map(String::as_str), Some("a.test."));
        assert_eq!(candidates("users", &[], 5), ["users."]);
    }

    #[test]
    fn whole_names_and_localhost_are_not_searched_for() {
        let search = ["a.test".to_owned()];
        for (host, asked) in [("b.", "b."), ("localhost", "localhost."), ("x.LocalHost", "x.LocalHost.")] {
            assert_eq!(candidates(host, &search, 5), [asked]);
        }
        assert_eq!(candidates("localhosts", &search, 5).len(), 2);
    }
}
