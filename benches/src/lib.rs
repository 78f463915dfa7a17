//! What is measured, and the inputs of the measurements.

pub mod routes;
