//! `nix repl`, read from a pipe, against recorded answers.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod recorded;

#[test]
fn answers_are_those_of_the_reference() {
    recorded::check("nix", include_str!("nix_repl.json"));
}
