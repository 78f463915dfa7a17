//! The Kubernetes source and the definitions against a real API server. `make tools` builds it.
#![expect(clippy::indexing_slicing, reason = "a field that JSON lacks is null")]

#[path = "kubernetes/absence.rs"]
mod absence;
#[path = "kubernetes/chart.rs"]
mod chart;
#[path = "kubernetes/definitions.rs"]
mod definitions;
#[path = "kubernetes/fixture.rs"]
mod fixture;
#[path = "kubernetes/mirror.rs"]
mod mirror;
#[path = "kubernetes/release.rs"]
mod release;
#[path = "kubernetes/secrets.rs"]
mod secrets;
#[path = "kubernetes/services.rs"]
mod services;
#[path = "kubernetes/source.rs"]
mod source;
#[path = "kubernetes/status.rs"]
mod status;
