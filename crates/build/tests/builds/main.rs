//! Builds in stores of their own, from derivations to valid paths or to what is said instead.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod bad;
mod concurrent;
mod good;
mod support;
