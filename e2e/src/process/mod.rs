//! Whole processes of the program, real sockets, and load that counts what fails.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a harness: what fails here fails the test, and its output is for whoever reads the test"
)]

mod figures;
mod http;
mod link;
mod load;
mod nginx;
mod page;
mod program;
mod wait;

pub use figures::figure;
pub use http::{Response, Session, get, request, request_at, request_within};
pub use link::{Fault, Link};
pub use load::{Load, LoadReport};
pub use nginx::Nginx;
pub use page::Page;
pub use program::{CREDENTIALS, Gateway, Program, free_port};
pub use wait::{until, within};
