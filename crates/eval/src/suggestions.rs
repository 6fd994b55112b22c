//! Names that may have been meant.

/// How far a suggestion may be from what was written, and how many are made (`Suggestions::trim` in C++
/// Nix's suggestions.hh).
const MAX_DISTANCE: usize = 2;
const MAX_COUNT: usize = 5;

/// The names most like a wrong one, best first.
pub(crate) fn best_matches(names: impl Iterator<Item = &'static [u8]>, wrong: &[u8]) -> Vec<String> {
    let mut matches: Vec<(usize, &[u8])> = names
        .filter(|name| name.len().abs_diff(wrong.len()) <= MAX_DISTANCE)
        .map(|name| (distance(name, wrong), name))
        .filter(|(distance, _)| *distance <= MAX_DISTANCE)
        .collect();
    matches.sort_unstable();
    matches.truncate(MAX_COUNT);
    matches.into_iter().map(|(_, name)| String::from_utf8_lossy(name).into_owned()).collect()
}

/// Levenshtein's distance.
fn distance(left: &[u8], right: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, byte) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(byte != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        let names: [&[u8]; 4] = [b"hello", b"hell", b"help", b"world"];
        assert_eq!(best_matches(names.into_iter(), b"helo"), ["hell", "hello", "help"]);
        assert_eq!(best_matches(names.into_iter(), b"xyz"), Vec::<String>::new());
    }
}
