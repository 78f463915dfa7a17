//! Under construction.

pub mod served;
pub mod subscription;

