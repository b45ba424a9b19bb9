//! Snapshots of every object that is built.
