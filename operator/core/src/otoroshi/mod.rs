//! The admin API's dialect: Otoroshi's JSON, to and from our specs. Pure, and nothing that Otoroshi's Backends page lists is
//! lost. Where the page and Otoroshi's code differ, the page wins; `docs/otoroshi-names.md` has the table and each deviation.
//!
//! Reading refuses what it can't keep: an unknown field, a value of another type, a feature that doesn't exist here yet. Each
//! is a [`Problem`](crate::Problem) with the field's name as in the JSON. `null` is the same as an absent field.
//!
//! Writing always succeeds. What a Route can say and Otoroshi can't (matches with different conditions, several backends) is
//! written in addition under `komainu`, in the spelling of the custom resource, and read back from there.

mod backend;
mod balancing;
mod client;
mod domains;
mod entity;
mod frontend;
mod health;
mod plugins;
mod reader;
mod route;
mod shortcut;
mod slots;
mod target;

#[cfg(test)]
mod tests;

pub use entity::{Entity, backend_from_json, backend_to_json, route_from_json, route_to_json};
