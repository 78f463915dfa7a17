//! For each setting, that another value of it makes the program do something else: from what is typed to what is seen at its
//! sockets and in its files.

mod leader;
mod leader_tls;
mod listeners;
mod names;
mod node;
mod process;
mod proxy;
mod selectors;
mod stub;
mod table;
mod worker;
