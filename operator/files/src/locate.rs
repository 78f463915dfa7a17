//! From a field to its place in a file. Only done when a problem is to be shown, so that reading good files costs
//! nothing for it.

use std::fmt;

use operator_core::{Origin, Place, Problem};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::{chunk, document};

/// The place of `field` (`spec.targets[0].port`) of the document that has `document` in it, in the `text` of its file.
/// The key of a map's entry, or the start of a list's item. If the field isn't written there: the nearest that
/// encloses it, at last the document. `None` if there is no such document or it isn't YAML.
pub fn locate(text: &str, document: &Place, field: &str) -> Option<Place> {
    let chunk = chunk::split(text).into_iter().rfind(|chunk| chunk.lines_before < document.line)?;
    let (line, column) = Tree::parse(text.get(chunk.range)?)?.find(field)?;
    Some(Place { file: document.file.clone(), line: line + chunk.lines_before, column })
}

/// Where `problem` of an object is, for people: the place that it has, else that of its field in the file as it is now on
/// disk, else where the object's document starts. `None` if the object isn't from a file.
pub fn place_of(origin: &Origin, problem: &Problem) -> Option<Place> {
    let Origin::File(document) = origin else { return problem.place.clone() };
    let found = || locate(&std::fs::read_to_string(&*document.file).ok()?, document, &problem.field);
    problem.place.clone().or_else(found).or_else(|| Some(document.clone()))
}

/// A document with the place of each key and item, without its values.
pub(crate) struct Tree(Spanned<Node>);

enum Node {
    Leaf,
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Node)>),
}

impl Tree {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_saphyr::from_str_with_options(text, document::options()).ok().map(Self)
    }

    /// Line and column, from 1 and within the text.
    pub(crate) fn find(&self, field: &str) -> Option<(u64, u64)> {
        let mut at = self.0.referenced;
        let mut node = &self.0.value;
        for step in steps(field) {
            let next = match (node, &step) {
                (Node::Map(entries), Step::Key(name)) => entries
                    .iter()
                    .find(|(key, _)| key.value == *name)
                    .map(|(key, node)| (key.referenced, node)),
                (Node::List(items), Step::Index(index)) => {
                    items.get(*index).map(|item| (item.referenced, &item.value))
                }
                _ => None,
            };
            let Some((found, inner)) = next else { break };
            (at, node) = (found, inner);
        }
        (at != Location::UNKNOWN).then(|| (at.line(), at.column()))
    }
}

#[derive(Debug, PartialEq)]
enum Step<'f> {
    Key(&'f str),
    Index(usize),
}

/// `spec.targets[0].port` and `metadata.labels["a.b/c"]`. Stops at what is neither.
fn steps(field: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut rest = field;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("[\"") {
            let Some((name, tail)) = quoted.split_once("\"]") else { break };
            steps.push(Step::Key(name));
            rest = tail;
        } else if let Some(number) = rest.strip_prefix('[') {
            let Some((number, tail)) = number.split_once(']') else { break };
            let Ok(index) = number.parse() else { break };
            steps.push(Step::Index(index));
            rest = tail;
        } else {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, tail) = rest.split_at(end);
            if name.is_empty() {
                break;
            }
            steps.push(Step::Key(name));
            rest = tail;
        }
    }
    steps
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Node::Leaf)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# first
kind: Route
---
kind: Backend
metadata:
  labels: { komainu.dev/tenant: a }
spec:
  targets:
    - hostname: x
      port: 1
    - { hostname: y, port: 2 }
";

    fn at(line: u64, field: &str) -> Option<String> {
        let document = Place { file: "f.yaml".into(), line, column: 1 };
        locate(TEXT, &document, field).map(|place| place.to_string())
    }

    #[test]
    fn keys_items_and_what_encloses_them() {
        for (field, place) in [
            ("", "f.yaml:4:1"),
            ("spec.targets", "f.yaml:8:3"),
            ("spec.targets[0].port", "f.yaml:10:7"),
            ("spec.targets[1]", "f.yaml:11:7"),
            ("spec.targets[1].port", "f.yaml:11:22"),
            ("spec.targets[1].weight", "f.yaml:11:7"),
            ("spec.targets[7].port", "f.yaml:8:3"),
            ("metadata.labels[\"komainu.dev/tenant\"]", "f.yaml:6:13"),
            ("shoe", "f.yaml:4:1"),
        ] {
            assert_eq!(at(4, field).as_deref(), Some(place), "{field}");
        }
        assert_eq!(at(2, "kind").as_deref(), Some("f.yaml:2:1"));
        assert_eq!(at(0, "kind"), None);
    }
}
