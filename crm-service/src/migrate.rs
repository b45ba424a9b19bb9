//! migrate: being written.
