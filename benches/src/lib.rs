//! What is measured, and the inputs of the measurements.

pub mod routes;
pub mod wire_routes;
pub mod world;
