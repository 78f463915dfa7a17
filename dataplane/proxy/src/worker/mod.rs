//! Subscription of a worker to its leader. Under construction.
