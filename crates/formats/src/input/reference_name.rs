//! Names that branches, tags and other references of Git may have (git-check-ref-format(1)).

/// Whether a text names a reference, a branch or a tag.
pub fn is_legal_reference_name(name: &str) -> bool {
    if name == "@" || name.contains('\x7f') {
        return false;
    }
    let is_branch = !name.starts_with('-') && name != "HEAD" && is_well_formed(name);
    is_branch || is_reference(name)
}

/// A whole reference: `HEAD` and its like, or a path such as `refs/heads/main`.
fn is_reference(name: &str) -> bool {
    let is_upper = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    is_well_formed(name)
        && match name.split_once('/') {
            None => is_upper(name) && !name.starts_with('_') && !name.ends_with('_'),
            Some((first, _)) => !is_upper(first),
        }
}

fn is_well_formed(name: &str) -> bool {
    !name.is_empty()
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.bytes().any(|byte| byte <= b' ' || b"~^:\\?[*".contains(&byte))
        && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["main", "release-23.05", "a/b", "@a", "HEAD", "refs/heads/x", "a@b", "a+b", "é"] {
            assert!(is_legal_reference_name(name), "{name}");
        }
        for name in [
            "", "@", "-a", "a..b", "a b", "/a", "a/", "a//b", "a.lock", ".a", "a/.b", "a.", "a@{b", "a~",
            "a*",
        ] {
            assert!(!is_legal_reference_name(name), "{name}");
        }
    }
}
