//! The worker's side of the protocol, without I/O.
