use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Settings, environment};
use crate::args::RunArguments;

/// A setting that can't be used, with the place where it was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("{}: can't be read: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: {message}", path.display())]
    Syntax { path: PathBuf, message: String },
    #[error("--set {0}: write key=value, for instance admin.port=9000")]
    SetSyntax(String),
    #[error("{place}: {key} isn't a list position: write a number from 0 to {length}")]
    Index { place: String, key: String, length: usize },
    #[error("{0} is no setting: see docs/settings.md for the names")]
    Unknown(String),
    #[error("setting {key}: {message}")]
    Value { key: String, message: String },
}

/// Defaults, then the file, then the environment, then the command line; what comes later wins.
pub(crate) fn load(
    arguments: &RunArguments,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Settings, SettingsError> {
    let mut tree = to_value(&Settings::default());
    if let Some(path) = &arguments.config {
        merge(&mut tree, read(path)?);
    }
    let known = leaf_keys(&to_value(&Settings::default()));
    let mut variables: Vec<_> = environment.into_iter().collect();
    // In the order of list positions.
    variables.sort();
    for (name, text) in variables {
        match environment::key_of(&name, &text, &known) {
            None => {}
            Some(Ok(key)) => put(&mut tree, &name, &key, Value::String(text))?,
            Some(Err(name)) => return Err(SettingsError::Unknown(name)),
        }
    }
    if let Some(folder) = &arguments.resources {
        put(&mut tree, "--resources", "resources", Value::String(folder.to_string_lossy().into_owned()))?;
    }
    if arguments.kubernetes {
        put(&mut tree, "--kubernetes", "kubernetes.enabled", Value::Bool(true))?;
    }
    for assignment in &arguments.set {
        let (key, text) =
            assignment.split_once('=').ok_or_else(|| SettingsError::SetSyntax(assignment.clone()))?;
        put(&mut tree, &format!("--set {key}"), key, Value::String(text.to_owned()))?;
    }
    serde_path_to_error::deserialize(tree).map_err(|error| SettingsError::Value {
        key: error.path().to_string(),
        message: error.into_inner().to_string(),
    })
}

fn to_value(settings: &Settings) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

fn read(path: &Path) -> Result<Value, SettingsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    let syntax = |message: String| SettingsError::Syntax { path: path.to_owned(), message };
    if path.extension().is_some_and(|extension| extension == "toml") {
        toml::from_str(&text).map_err(|error| syntax(error.to_string()))
    } else {
        serde_saphyr::from_str(&text).map_err(|error| syntax(error.to_string()))
    }
}

/// Objects are merged key by key, everything else is replaced.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (base, over) => *base = over,
    }
}

/// Puts a value at a dotted key; a number in it is a position in a list, which may grow by one.
fn put(tree: &mut Value, place: &str, key: &str, value: Value) -> Result<(), SettingsError> {
    let mut node = tree;
    for part in key.split('.') {
        if node.is_null() {
            *node = if part.parse::<usize>().is_ok() {
                Value::Array(Vec::new())
            } else {
                Value::Object(serde_json::Map::new())
            };
        }
        node = match node {
            Value::Array(items) => {
                let length = items.len();
                let index = part.parse().ok().filter(|index: &usize| *index <= length).ok_or_else(|| {
                    SettingsError::Index { place: place.to_owned(), key: key.to_owned(), length }
                })?;
                if index == length {
                    items.push(Value::Null);
                }
                items.get_mut(index).ok_or_else(|| SettingsError::SetSyntax(key.to_owned()))?
            }
            Value::Object(fields) => fields.entry(part).or_insert(Value::Null),
            _ => {
                let message = "has no parts of its own".to_owned();
                return Err(SettingsError::Value { key: key.to_owned(), message });
            }
        };
    }
    // A list given as one text is separated by commas, as environment variables need it.
    *node = match (&*node, value) {
        (Value::Array(_), Value::String(text)) => {
            text.split(',').filter(|item| !item.is_empty()).map(Value::from).collect()
        }
        (_, value) => value,
    };
    Ok(())
}

/// The dotted keys of all settings but the fields of list items.
fn leaf_keys(value: &Value) -> Vec<String> {
    let Value::Object(fields) = value else { return Vec::new() };
    fields
        .iter()
        .flat_map(|(name, child)| {
            let below = leaf_keys(child);
            if below.is_empty() {
                vec![name.clone()]
            } else {
                below.into_iter().map(|rest| format!("{name}.{rest}")).collect()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Mode;

    fn arguments(set: &[&str]) -> RunArguments {
        RunArguments {
            config: None,
            resources: None,
            kubernetes: false,
            set: set.iter().map(ToString::to_string).collect(),
        }
    }

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn later_sources_win() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.yaml");
        std::fs::write(&file, "admin: {port: 1}\nproxy: {threads: 2, drainTimeout: 5s}\n").unwrap();
        let mut arguments = arguments(&["admin.port=3"]);
        arguments.config = Some(file);
        let environment = variables(&[
            ("KOMAINU_ADMIN_PORT", "2"),
            ("KOMAINU_CLUSTER_LEADER_CLIENT_ID", "me"),
            ("PATH", "/bin"),
        ]);
        let settings = load(&arguments, environment).unwrap();
        assert_eq!(settings.admin.port, Some(3));
        assert_eq!(settings.proxy.threads, 2);
        assert_eq!(settings.proxy.drain_timeout, crate::settings::Millis(5_000));
        assert_eq!(settings.cluster.leader.client_id.as_deref(), Some("me"));
    }

    #[test]
    fn lists_by_position_and_by_comma() {
        let set = ["cluster.leader.urls.0=http://a", "cluster.leader.urls.1=http://b", "cluster.mode=worker"];
        let settings = load(&arguments(&set), []).unwrap();
        assert_eq!(settings.cluster.leader.urls, ["http://a", "http://b"]);
        assert_eq!(settings.cluster.mode, Mode::Worker);
        let environment = variables(&[("KOMAINU_CLUSTER_LEADER_URLS", "http://a,http://b")]);
        assert_eq!(load(&arguments(&[]), environment).unwrap().cluster.leader.urls, ["http://a", "http://b"]);
    }

    #[test]
    fn unknown_and_odd_settings_are_refused_by_name() {
        let message = |set: &str| load(&arguments(&[set]), []).unwrap_err().to_string();
        assert!(message("admin.prot=1").contains("admin.prot"), "{}", message("admin.prot=1"));
        assert!(message("listeners.5.port=1").contains("from 0 to 0"));
        assert!(message("admin.port=70000").contains("admin.port"));
        assert!(message("nonsense").contains("key=value"));
    }

    #[test]
    fn the_environment_knows_lists_and_refuses_what_is_no_setting() {
        let listeners =
            variables(&[("KOMAINU_LISTENERS_0_PORT", "8081"), ("KOMAINU_LISTENERS_0_NAME", "inner")]);
        let settings = load(&arguments(&[]), listeners).unwrap();
        assert_eq!((settings.listeners[0].port, settings.listeners[0].name.as_str()), (Some(8081), "inner"));
        let error = load(&arguments(&[]), variables(&[("KOMAINU_ADMIN_PROT", "1")])).unwrap_err().to_string();
        assert!(error.contains("KOMAINU_ADMIN_PROT"), "{error}");
    }

    #[test]
    fn a_secret_may_look_like_a_number_and_is_never_repeated() {
        let settings = load(&arguments(&["cluster.leader.clientSecret=0042"]), []).unwrap();
        assert_eq!(settings.cluster.leader.client_secret.as_deref(), Some("0042"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.yaml");
        std::fs::write(&file, "cluster: {leader: {clientSecret: 4242}}").unwrap();
        let arguments = RunArguments { config: Some(file), ..arguments(&[]) };
        let error = load(&arguments, []).unwrap_err().to_string();
        assert!(error.contains("clientSecret") && !error.contains("4242"), "{error}");
    }

    #[test]
    fn the_documented_keys_are_all_there_are() {
        let page = include_str!("../../../docs/settings.md");
        let mut documented: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(key, _)| key.to_owned()))
            .collect();
        let mut known = leaf_keys(&to_value(&Settings::default()));
        documented.sort();
        known.sort();
        assert_eq!(documented, known);
    }
}
