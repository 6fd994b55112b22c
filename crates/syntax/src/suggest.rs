//! "Did you mean": names close to one that does not exist.

/// The candidates closest to `name` as the reference picks them: at most five, at most two edits away,
/// nearest first and then by name.
///
/// ```
/// let names = ["map", "mop", "filter"];
/// assert_eq!(nival_syntax::suggestions("mpa", names.map(str::as_bytes)), ["map", "mop"]);
/// ```
pub fn suggestions<'a>(name: &str, candidates: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    const MOST: usize = 5;
    const FURTHEST: usize = 2;
    let mut near: Vec<(usize, &[u8])> = candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= FURTHEST)
        .map(|candidate| (distance(name.as_bytes(), candidate), candidate))
        .filter(|(distance, _)| *distance <= FURTHEST)
        .collect();
    near.sort_unstable();
    near.dedup();
    near.truncate(MOST);
    near.into_iter().map(|(_, name)| crate::raw_text(name).into_owned()).collect()
}

/// How many bytes must be put in, left out or replaced to get from one to the other.
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, byte) in from.iter().enumerate() {
        let mut diagonal = index;
        row[0] = index + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(byte != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (from, to, expected) in
            [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("mpa", "map", 2), ("same", "same", 0)]
        {
            assert_eq!(distance(from.as_bytes(), to.as_bytes()), expected, "{from} {to}");
        }
    }

    #[test]
    fn nearest_first_then_by_name() {
        let names = ["abcd", "zbc", "xbc", "abc", "a", "far away", "bbc", "cbc", "dbc"];
        let found = suggestions("abc", names.map(str::as_bytes));
        assert_eq!(found, ["abc", "abcd", "bbc", "cbc", "dbc"]);
    }
}
