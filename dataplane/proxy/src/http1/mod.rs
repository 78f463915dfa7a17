//! HTTP/1.0 and 1.1 towards clients: strict heads and framing.
