//! Settings in the environment: `KOMAINU_` and the words of the key in capitals.

const PREFIX: &str = "KOMAINU_";

/// Names that aren't settings: the file of settings, and what the project's own scripts use.
const OTHERS: [&str; 4] = ["KOMAINU_CONFIG", "KOMAINU_BIN", "KOMAINU_CACHE", "KOMAINU_FIGURES"];

/// The key of the setting that a variable is meant for, of those that are known; `Err` for one that has our prefix and is none.
/// `None` if it isn't ours.
pub(super) fn key_of(name: &str, value: &str, known: &[String]) -> Option<Result<String, String>> {
    let rest = name.strip_prefix(PREFIX)?;
    if OTHERS.contains(&name) || is_service_link(rest, value) {
        return None;
    }
    let exact = known.iter().find(|key| words(key) == rest).cloned();
    let found = exact.or_else(|| known.iter().find_map(|key| item_key(key, rest)));
    Some(found.ok_or_else(|| name.to_owned()))
}

/// `cluster.leader.clientId` is `CLUSTER_LEADER_CLIENT_ID`.
fn words(key: &str) -> String {
    let mut name = String::new();
    for character in key.chars() {
        match character {
            '.' => name.push('_'),
            upper if upper.is_ascii_uppercase() => {
                name.push('_');
                name.push(upper);
            }
            lower => name.push(lower.to_ascii_uppercase()),
        }
    }
    name
}

/// `LISTENERS_0_ADVERTISED_PORT` is `listeners.0.advertisedPort`, `CLUSTER_LEADER_URLS_1` is `cluster.leader.urls.1`.
fn item_key(key: &str, rest: &str) -> Option<String> {
    let rest = rest.strip_prefix(&words(key))?.strip_prefix('_')?;
    let (position, field) =
        rest.split_once('_').map_or((rest, None), |(position, field)| (position, Some(field)));
    position.parse::<usize>().ok()?;
    Some(match field {
        None => format!("{key}.{position}"),
        Some(field) => format!("{key}.{position}.{}", camel_case(field)),
    })
}

fn camel_case(words: &str) -> String {
    let mut name = String::new();
    for (index, word) in words.split('_').enumerate() {
        let (first, others) = word.split_at_checked(1).unwrap_or_default();
        name.push_str(&if index == 0 { first.to_ascii_lowercase() } else { first.to_ascii_uppercase() });
        name.push_str(&others.to_ascii_lowercase());
    }
    name
}

/// Kubernetes puts variables like `KOMAINU_SERVICE_HOST` and `KOMAINU_PORT=tcp://…` into every pod beside a Service of that
/// name (the pod field `enableServiceLinks`).
fn is_service_link(rest: &str, value: &str) -> bool {
    let rest = format!("_{rest}");
    rest.contains("_SERVICE_HOST")
        || rest.contains("_SERVICE_PORT")
        || value.starts_with("tcp://")
        || value.starts_with("udp://")
        || ["_TCP_ADDR", "_TCP_PORT", "_TCP_PROTO", "_UDP_ADDR", "_UDP_PORT", "_UDP_PROTO"]
            .iter()
            .any(|end| rest.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keys() {
        let known =
            ["admin.port", "cluster.leader.clientId", "cluster.leader.urls", "listeners"].map(str::to_owned);
        let key = |name: &str| key_of(name, "x", &known);
        assert_eq!(key("KOMAINU_ADMIN_PORT"), Some(Ok("admin.port".into())));
        assert_eq!(key("KOMAINU_CLUSTER_LEADER_CLIENT_ID"), Some(Ok("cluster.leader.clientId".into())));
        assert_eq!(key("KOMAINU_CLUSTER_LEADER_URLS_1"), Some(Ok("cluster.leader.urls.1".into())));
        assert_eq!(key("KOMAINU_LISTENERS_0_ADVERTISED_PORT"), Some(Ok("listeners.0.advertisedPort".into())));
        assert_eq!(key("KOMAINU_ADMIN_PROT"), Some(Err("KOMAINU_ADMIN_PROT".into())));
        assert_eq!(key("KOMAINU_CONFIG"), None);
        assert_eq!(key("PATH"), None);
    }

    #[test]
    fn what_kubernetes_adds_is_left_alone() {
        for (name, value) in [
            ("KOMAINU_SERVICE_HOST", "10.96.0.7"),
            ("KOMAINU_SERVICE_PORT_HTTP", "80"),
            ("KOMAINU_PORT", "tcp://10.96.0.7:80"),
            ("KOMAINU_PORT_80_TCP_ADDR", "10.96.0.7"),
            ("KOMAINU_LEADER_PORT_9000_TCP", "tcp://10.96.0.7:9000"),
        ] {
            assert_eq!(key_of(name, value, &[]), None, "{name}");
        }
    }
}
