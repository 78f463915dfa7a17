//! The settings in force, with where each was written.

use std::collections::BTreeMap;

use serde_json::Value;

use super::sources::{Loaded, leaf_keys, to_value};

/// The last words of keys whose values nobody is shown.
const SECRETS: [&str; 2] = ["clientSecret", "password"];

/// One line per setting: `key = value`, and behind a `#` where it was written.
pub(crate) fn show(loaded: &Loaded) -> String {
    let tree = to_value(&loaded.settings);
    let lines: Vec<_> =
        leaf_keys(&tree).into_iter().map(|key| (format!("{key} = {}", value(&tree, &key)), key)).collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).filter(|width| *width <= 60).max();
    let width = width.unwrap_or_default();
    lines.iter().map(|(line, key)| format!("{line:width$}  # {}\n", place(&loaded.places, key))).collect()
}

/// A part of a list may have been written somewhere else than another one: the last place is told.
fn place(places: &BTreeMap<String, String>, key: &str) -> String {
    let mut parts = places.iter().filter(|(written, _)| {
        written.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    parts.next_back().map_or_else(|| "default".to_owned(), |(_, place)| place.clone())
}

fn value(tree: &Value, key: &str) -> String {
    let value = key.split('.').try_fold(tree, |value, part| value.get(part)).unwrap_or(&Value::Null);
    let is_secret = key.rsplit('.').next().is_some_and(|name| SECRETS.contains(&name));
    match value {
        Value::Null => "none".to_owned(),
        _ if is_secret => "***".to_owned(),
        // A password may be in it.
        Value::String(url) if key == "store.url" => operator_store::place(url),
        Value::String(text) => text.clone(),
        other => masked(other.clone()).to_string(),
    }
}

/// The same without the secrets in the items of a list.
fn masked(mut value: Value) -> Value {
    for item in value.as_array_mut().into_iter().flatten() {
        let fields = item.as_object_mut().into_iter().flatten();
        let secrets = fields.filter(|(name, value)| SECRETS.contains(&name.as_str()) && !value.is_null());
        secrets.for_each(|(_, secret)| *secret = "***".into());
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::RunArguments;
    use crate::settings;

    #[test]
    fn each_setting_with_its_place_and_no_secret() {
        let set = [
            "cluster.leader.clientSecret=hush",
            "otoroshi.cluster.leader.url=http://a:1",
            "listeners.0.port=81",
            "store.url=redis://me:hush@a:6379/1",
            "store.password=hush",
            "cluster.leader.clients.0.clientId=edge",
            "cluster.leader.clients.0.clientSecret=hush",
        ];
        let arguments = RunArguments { set: set.map(str::to_owned).to_vec(), ..RunArguments::default() };
        let variables = [("CLUSTER_WORKER_TIMEOUT".to_owned(), "1s".to_owned())];
        let shown = show(&settings::load(&arguments, variables).unwrap());
        let line = |key: &str| shown.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
        let has = |key: &str, value: &str, place: &str| {
            let line = line(key);
            assert!(
                line.contains(&format!(" = {value} ")) && line.ends_with(&format!("# {place}")),
                "{line}"
            );
        };
        has("cluster.leader.clientSecret", "***", "--set cluster.leader.clientSecret");
        has("cluster.leader.urls", "[\"http://a:1\"]", "--set otoroshi.cluster.leader.url");
        has("cluster.worker.timeout", "1s", "CLUSTER_WORKER_TIMEOUT");
        has("store.url", "redis://a:6379/1", "--set store.url");
        has("store.password", "***", "--set store.password");
        has("admin.port", "none", "default");
        assert!(line("listeners").ends_with("# --set listeners.0.port"));
        assert!(line("cluster.leader.clients").contains(r#""clientId":"edge","clientSecret":"***""#));
        assert!(!shown.contains("hush"));
    }
}
