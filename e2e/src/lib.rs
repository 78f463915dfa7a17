//! What the end-to-end tests are made of: processes of the program, and the real servers that they talk to.

pub mod cluster;
pub mod kube;
pub mod process;
pub mod servers;
