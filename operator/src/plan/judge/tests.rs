//! Endings of Jobs.
