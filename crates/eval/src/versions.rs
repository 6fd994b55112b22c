//! Package names and versions: how they are split and which is newer.
//!
//! The rules are those of the C++ Nix manual, chapter `nix-env --upgrade`.

use std::cmp::Ordering;

/// Splits `name-version` at the first dash that isn't followed by a letter.
pub fn parse_drv_name(full: &[u8]) -> (&[u8], &[u8]) {
    let dash = full.windows(2).position(|pair| pair[0] == b'-' && !pair[1].is_ascii_alphabetic());
    match dash {
        Some(dash) => (&full[..dash], &full[dash + 1..]),
        None => (full, b""),
    }
}

/// The components of a version: runs of digits, and runs of anything else between dots and dashes.
pub fn components(version: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = version;
    std::iter::from_fn(move || {
        let component = next_component(&mut rest);
        (!component.is_empty()).then_some(component)
    })
}

/// Compares two versions component by component.
pub fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let (mut left, mut right) = (left, right);
    while !left.is_empty() || !right.is_empty() {
        let (from_left, from_right) = (next_component(&mut left), next_component(&mut right));
        if is_older(from_left, from_right) {
            return Ordering::Less;
        }
        if is_older(from_right, from_left) {
            return Ordering::Greater;
        }
    }
    Ordering::Equal
}

fn next_component<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let is_separator = |byte: &u8| matches!(byte, b'.' | b'-');
    let start = rest.iter().position(|byte| !is_separator(byte)).unwrap_or(rest.len());
    let text = &rest[start..];
    let digits = text.first().is_some_and(u8::is_ascii_digit);
    let end = text
        .iter()
        .position(|byte| byte.is_ascii_digit() != digits || is_separator(byte))
        .unwrap_or(text.len());
    *rest = &text[end..];
    &text[..end]
}

fn is_older(left: &[u8], right: &[u8]) -> bool {
    match (as_number(left), as_number(right)) {
        (Some(left), Some(right)) => left < right,
        (_, Some(_)) if left.is_empty() => true,
        _ if left == b"pre" && right != b"pre" => true,
        _ if right == b"pre" => false,
        // `2.3a` is older than `2.3.1`.
        (_, Some(_)) => true,
        (Some(_), _) => false,
        _ => left < right,
    }
}

/// A number too large for the reference's `int` counts as text there, and so here.
fn as_number(component: &[u8]) -> Option<i32> {
    std::str::from_utf8(component).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from C++ Nix 2.34.8.
    #[test]
    fn versions_compare_as_in_the_reference() {
        let cases: &[(&str, &str, Ordering)] = &[
            ("1.0", "2.3", Ordering::Less),
            ("2.1", "2.3", Ordering::Less),
            ("2.3", "2.3", Ordering::Equal),
            ("2.5", "2.3", Ordering::Greater),
            ("3.1", "2.3", Ordering::Greater),
            ("2.3.1", "2.3", Ordering::Greater),
            ("2.3.1", "2.3a", Ordering::Greater),
            ("2.3pre1", "2.3", Ordering::Less),
            ("2.3pre3", "2.3pre12", Ordering::Less),
            ("2.3a", "2.3c", Ordering::Less),
            ("2.3pre1", "2.3c", Ordering::Less),
            ("2.3pre1", "2.3q", Ordering::Less),
            ("", "", Ordering::Equal),
            ("", "1", Ordering::Less),
            ("", "a", Ordering::Less),
            ("", "pre", Ordering::Greater),
            ("1.0", "1.0.0", Ordering::Less),
            ("01", "1", Ordering::Equal),
            ("99999999999", "99999999998", Ordering::Greater),
            ("99999999999", "1", Ordering::Less),
            ("1..2", "1-2", Ordering::Equal),
            ("1.", "1", Ordering::Equal),
        ];
        for (left, right, expected) in cases {
            assert_eq!(compare(left.as_bytes(), right.as_bytes()), *expected, "{left} {right}");
            assert_eq!(compare(right.as_bytes(), left.as_bytes()), expected.reverse(), "{right} {left}");
        }
    }

    #[test]
    fn versions_split_into_components() {
        let cases: &[(&str, &[&str])] = &[
            ("1.2.3", &["1", "2", "3"]),
            ("2.3pre12-rc1", &["2", "3", "pre", "12", "rc", "1"]),
            ("..a..", &["a"]),
            ("", &[]),
            ("0.1é2", &["0", "1", "é", "2"]),
        ];
        for (version, expected) in cases {
            let found: Vec<_> = components(version.as_bytes()).collect();
            let expected: Vec<_> = expected.iter().map(|part| part.as_bytes()).collect();
            assert_eq!(found, expected, "{version}");
        }
    }

    #[test]
    fn names_split_from_versions() {
        let cases = [
            ("apache-httpd-2.0.48", "apache-httpd", "2.0.48"),
            ("nix-0.12pre12876", "nix", "0.12pre12876"),
            ("hello", "hello", ""),
            ("a-", "a-", ""),
            ("a--1", "a", "-1"),
            ("-1", "", "1"),
        ];
        for (full, name, version) in cases {
            let (found_name, found_version) = parse_drv_name(full.as_bytes());
            assert_eq!((found_name, found_version), (name.as_bytes(), version.as_bytes()), "{full}");
        }
    }
}
