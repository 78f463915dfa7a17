use serde_json::{Value, json};

use super::reader::{Reader, whole_object};

const OVERRIDE_HOST: &str = "cp:otoroshi.next.plugins.OverrideHost";

/// `plugins`: a list, or as on the Routes page an object with `slots`. Whether the host is overridden.
pub(super) fn read(reader: &mut Reader<'_>) -> bool {
    let path = reader.field("plugins");
    match reader.take("plugins") {
        Some(Value::Object(object)) => {
            let read = |object: &mut Reader<'_>| read_slots(object, "slots");
            whole_object(&path, Value::Object(object), reader.problems(), read).unwrap_or_default()
        }
        Some(Value::Array(slots)) => read_list(&path, slots, reader),
        Some(_) => {
            reader.problem("plugins", "should be a list of plugins");
            false
        }
        None => false,
    }
}

fn read_slots(reader: &mut Reader<'_>, name: &str) -> bool {
    let (path, slots) = (reader.field(name), reader.list(name));
    read_list(&path, slots, reader)
}

fn read_list(path: &str, slots: Vec<Value>, reader: &mut Reader<'_>) -> bool {
    let mut override_host = false;
    for (index, slot) in slots.into_iter().enumerate() {
        let slot = whole_object(&format!("{path}[{index}]"), slot, reader.problems(), read_slot);
        override_host |= slot.unwrap_or_default();
    }
    override_host
}

/// The one plugin that exists here as a property of the route. Its place among others has no meaning as long as it is alone.
fn read_slot(slot: &mut Reader<'_>) -> bool {
    let plugin = slot.text("plugin");
    let enabled = slot.bool("enabled", true);
    slot.take("plugin_index");
    if plugin.as_deref() == Some(OVERRIDE_HOST) {
        slot.only("debug", &[json!(false)]);
        for name in ["include", "exclude", "bound_listeners"] {
            slot.only(name, &[json!([])]);
        }
        slot.only("config", &[json!({})]);
        return enabled;
    }
    let name = plugin.unwrap_or_default();
    for name in ["debug", "include", "exclude", "bound_listeners", "config"] {
        slot.take(name);
    }
    slot.problem(
        "plugin",
        format!("{name:?} is not supported yet: remove it; {OVERRIDE_HOST} is the only one so far"),
    );
    false
}

pub(super) fn write(override_host: bool) -> Value {
    if !override_host {
        return json!([]);
    }
    json!([{
        "plugin": OVERRIDE_HOST,
        "enabled": true,
        "debug": false,
        "include": [],
        "exclude": [],
        "config": {},
        "bound_listeners": [],
    }])
}
