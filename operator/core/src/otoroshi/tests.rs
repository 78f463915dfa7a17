//! Both ways, over specs of every shape and over the examples of Otoroshi's Backends page.

mod backends;
mod names;
mod properties;
mod refusals;
mod routes;
mod specs;
