use crds::Duration;
use serde_json::{Map, Value};

use crate::Problem;

/// A JSON object that is read field by field. What nobody has read is refused by [`Reader::finish`], so nothing is dropped
/// silently.
pub(super) struct Reader<'p> {
    path: String,
    fields: Map<String, Value>,
    problems: &'p mut Vec<Problem>,
}

impl<'p> Reader<'p> {
    /// `None`, with a problem, if it isn't an object.
    pub(super) fn new(path: &str, value: Value, problems: &'p mut Vec<Problem>) -> Option<Self> {
        match value {
            Value::Object(fields) => Some(Self { path: path.to_owned(), fields, problems }),
            other => {
                problems.push(problem(path, format!("is {}, but should be an object", kind(&other))));
                None
            }
        }
    }

    pub(super) fn field(&self, name: &str) -> String {
        join(&self.path, name)
    }

    pub(super) fn problem(&mut self, name: &str, message: impl Into<String>) {
        let field = self.field(name);
        self.problems.push(problem(&field, message));
    }

    pub(super) fn problems(&mut self) -> &mut Vec<Problem> {
        self.problems
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|value| !value.is_null())
    }

    /// The field, unless absent or null. It counts as read.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    fn read<T>(&mut self, name: &str, expected: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let value = self.take(name)?;
        let result = read(&value);
        if result.is_none() {
            self.problem(name, format!("is {}, but should be {expected}", shown(&value)));
        }
        result
    }

    pub(super) fn bool(&mut self, name: &str, default: bool) -> bool {
        self.read(name, "true or false", Value::as_bool).unwrap_or(default)
    }

    /// A whole number in `min..=max`; `2.0` is one.
    pub(super) fn number(&mut self, name: &str, min: u64, max: u64) -> Option<u64> {
        let expected = format!("a whole number from {min} to {max}");
        self.read(name, &expected, |value| whole(value).filter(|number| (min..=max).contains(number)))
    }

    pub(super) fn u32(&mut self, name: &str, default: u32, max: u32) -> u32 {
        self.number(name, 0, u64::from(max)).and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
    }

    pub(super) fn port(&mut self, name: &str) -> Option<u16> {
        self.number(name, 1, u64::from(u16::MAX)).and_then(|number| u16::try_from(number).ok())
    }

    /// A number of milliseconds.
    pub(super) fn millis(&mut self, name: &str, default: Duration) -> Duration {
        self.duration(name).unwrap_or(default)
    }

    /// A number of milliseconds that may be absent.
    pub(super) fn duration(&mut self, name: &str) -> Option<Duration> {
        self.number(name, 0, Duration::MAX.as_millis()).map(Duration::from_millis)
    }

    pub(super) fn float(&mut self, name: &str) -> Option<f64> {
        self.read(name, "a number", Value::as_f64)
    }

    pub(super) fn string(&mut self, name: &str) -> Option<String> {
        self.read(name, "a string", |value| value.as_str().map(str::to_owned))
    }

    /// A string that no problem repeats.
    pub(super) fn secret(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            other => {
                self.problem(name, format!("is {}, but should be a string", kind(&other)));
                None
            }
        }
    }

    /// A string that is the same as none when it is blank.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.string(name).filter(|text| !text.trim().is_empty())
    }

    pub(super) fn strings(&mut self, name: &str) -> Vec<String> {
        let read = |value: &Value| {
            value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        self.read(name, "a list of strings", read).unwrap_or_default()
    }

    pub(super) fn statuses(&mut self, name: &str) -> Vec<u16> {
        let status = |value: &Value| whole(value).and_then(|number| u16::try_from(number).ok());
        let read = |value: &Value| value.as_array()?.iter().map(status).collect::<Option<Vec<_>>>();
        self.read(name, "a list of status codes", read).unwrap_or_default()
    }

    /// An object of strings, in the order of its keys.
    pub(super) fn string_map(&mut self, name: &str) -> Vec<(String, String)> {
        let pair = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        let read = |value: &Value| value.as_object()?.iter().map(pair).collect::<Option<Vec<_>>>();
        self.read(name, "an object of strings", read).unwrap_or_default()
    }

    pub(super) fn list(&mut self, name: &str) -> Vec<Value> {
        self.read(name, "a list", |value| value.as_array().cloned()).unwrap_or_default()
    }

    /// An object that `read` takes apart and that is then complete.
    pub(super) fn object<T>(&mut self, name: &str, read: impl FnOnce(&mut Reader<'_>) -> T) -> Option<T> {
        let value = self.take(name)?;
        let path = self.field(name);
        whole_object(&path, value, self.problems, read)
    }

    /// A field of Otoroshi's that has no place here: fine as long as it has one of these values.
    pub(super) fn only(&mut self, name: &str, allowed: &[Value]) {
        if let Some(value) = self.take(name)
            && !allowed.contains(&value)
        {
            let allowed =
                allowed.first().map(|value| format!(" or give it its default, {value}")).unwrap_or_default();
            self.problem(name, format!("{} is not supported yet: leave {name} out{allowed}", shown(&value)));
        }
    }

    /// Refuses what is left.
    pub(super) fn finish(self) {
        for (name, _) in self.fields.iter().filter(|(_, value)| !value.is_null()) {
            let message = format!("{name} isn't known, or not supported yet: leave it out");
            self.problems.push(problem(&join(&self.path, name), message));
        }
    }
}

/// Reads an object to its end.
pub(super) fn whole_object<T>(
    path: &str,
    value: Value,
    problems: &mut Vec<Problem>,
    read: impl FnOnce(&mut Reader<'_>) -> T,
) -> Option<T> {
    let mut reader = Reader::new(path, value, problems)?;
    let result = read(&mut reader);
    reader.finish();
    Some(result)
}

pub(super) fn problem(field: &str, message: impl Into<String>) -> Problem {
    Problem { field: field.to_owned(), message: message.into(), place: None }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// JSON has one type of number: 2.0 is a whole one.
fn whole(value: &Value) -> Option<u64> {
    let exact = |number: f64| (0.0..9e15).contains(&number) && number.fract() == 0.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be whole and in range"
    )]
    value.as_u64().or_else(|| value.as_f64().filter(|number| exact(*number)).map(|number| number as u64))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Short values as they are, so that the sentence shows what was written.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.len() <= 64 { text } else { kind(value).to_owned() }
}
