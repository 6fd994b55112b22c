//! Calls as C++ Nix 2.34.8 counts and shows them: errors at `max-call-depth`, and `trace-function-calls`.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod recorded;

#[test]
fn answers_are_those_of_the_reference() {
    recorded::check("nix-instantiate", include_str!("nix_calls.json"));
}
