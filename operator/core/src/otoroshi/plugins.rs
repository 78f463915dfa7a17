use crds::RouteFilters;
use serde_json::{Value, json};

use super::reader::{Reader, whole_object};
use super::slots;

/// What a route's plugins come to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plugins {
    pub(super) override_host: bool,
    /// `None` if they come to none.
    pub(super) filters: Option<RouteFilters>,
}

/// `plugins`: a list, or as on the Routes page an object with `slots`.
pub(super) fn read(reader: &mut Reader<'_>) -> Plugins {
    let path = reader.field("plugins");
    match reader.take("plugins") {
        Some(Value::Object(object)) => {
            let read = |object: &mut Reader<'_>| read_slots(object, "slots");
            whole_object(&path, Value::Object(object), reader.problems(), read).unwrap_or_default()
        }
        Some(Value::Array(slots)) => read_list(&path, slots, reader),
        Some(_) => {
            reader.problem("plugins", "should be a list of plugins");
            Plugins::default()
        }
        None => Plugins::default(),
    }
}

fn read_slots(reader: &mut Reader<'_>, name: &str) -> Plugins {
    let (path, slots) = (reader.field(name), reader.list(name));
    read_list(&path, slots, reader)
}

fn read_list(path: &str, slots: Vec<Value>, reader: &mut Reader<'_>) -> Plugins {
    let (mut override_host, mut filters) = (false, RouteFilters::default());
    for (index, slot) in slots.into_iter().enumerate() {
        let path = format!("{path}[{index}]");
        whole_object(&path, slot, reader.problems(), |slot| {
            read_slot(slot, &mut override_host, &mut filters)
        });
    }
    Plugins { override_host, filters: Some(filters).filter(|filters| *filters != RouteFilters::default()) }
}

/// The place of a plugin among others has no meaning: filters are applied in an order of their own.
fn read_slot(slot: &mut Reader<'_>, override_host: &mut bool, filters: &mut RouteFilters) {
    let plugin = slot.text("plugin").unwrap_or_default();
    let enabled = slot.bool("enabled", true);
    slot.take("plugin_index");
    let name = plugin.strip_prefix(slots::PREFIX).unwrap_or_default();
    if !slots::is_known(name) {
        for name in ["debug", "include", "exclude", "bound_listeners", "config"] {
            slot.take(name);
        }
        let known = slots::NAMES.join(", ");
        return slot.problem(
            "plugin",
            format!("{plugin:?} is not supported yet: remove it; of {} these are: {known}", slots::PREFIX),
        );
    }
    slot.only("debug", &[json!(false)]);
    for name in ["include", "exclude", "bound_listeners"] {
        slot.only(name, &[json!([])]);
    }
    if name == slots::OVERRIDE_HOST {
        slot.only("config", &[json!({})]);
        *override_host |= enabled;
        return;
    }
    if !enabled {
        slot.take("config");
        return slot.problem("enabled", "is false: a plugin without effect isn't kept, remove it");
    }
    let repeated = slot.object("config", |config| slots::read(name, config, filters)) == Some(false);
    if repeated {
        slot.problem("plugin", format!("{plugin:?} comes twice: write one with both configurations"));
    }
}

/// As near as plugins come to what a route says.
pub(super) fn write(override_host: bool, filters: Option<&RouteFilters>) -> Value {
    let host = override_host.then(|| (slots::OVERRIDE_HOST, json!({})));
    let filters = filters.into_iter().flat_map(slots::write);
    let slot = |(name, config): (&str, Value)| {
        json!({
            "plugin": format!("{}{name}", slots::PREFIX),
            "enabled": true,
            "debug": false,
            "include": [],
            "exclude": [],
            "config": config,
            "bound_listeners": [],
        })
    };
    host.into_iter().chain(filters).map(slot).collect()
}

/// Whether plugins say all of it.
pub(super) fn is_complete(written: &Value, filters: &RouteFilters) -> bool {
    let mut problems = Vec::new();
    let fields = json!({ "plugins": written });
    let read = Reader::new("", fields, &mut problems).map(|mut reader| read(&mut reader));
    problems.is_empty() && read.is_some_and(|plugins| plugins.filters.as_ref() == Some(filters))
}
