//! The colours inside of error messages.
//!
//! C++ Nix 2.34 formats a message with what goes into it in magenta, or in the colours of values (`fmt.hh`, `print.cc`). Here a
//! message is text, so what went into it is found again by how messages of the evaluator are worded. What somebody throws
//! has no colours.

use std::fmt::Write as _;

const NORMAL: &str = "\x1b[0m";
const MAGENTA: &str = "\x1b[35;1m";
const CYAN: &str = "\x1b[36;1m";
const GREEN: &str = "\x1b[32;1m";
const BLUE: &str = "\x1b[34;1m";

/// The messages: `{}` stands for something in magenta, `{v}` for a value.
const MESSAGES: &[&str] = &[
    "undefined variable '{}'",
    "attribute '{}' missing",
    "function '{}' called without required argument '{}'",
    "function '{}' called with unexpected argument '{}'",
    "attempt to call something which is not a function but {}: {v}",
    "expected a Boolean but found {}: {v}",
    "expected a set but found {}: {v}",
    "expected a list but found {}: {v}",
    "expected an integer but found {}: {v}",
    "expected a float but found {}: {v}",
    "expected a string but found {}: {v}",
    "expected a function but found {}: {v}",
    "cannot coerce {} to a string: {v}",
    "cannot compare {} with {}; values are {v} and {v}",
    "cannot compare {} with {}; values of that type are incomparable (values are {v} and {v})",
    "cannot add {} to an integer",
    "cannot add {} to a float",
    "cannot convert {} to JSON",
    "integer overflow in adding {} + {}",
    "integer overflow in subtracting {} - {}",
    "integer overflow in multiplying {} * {}",
    "integer overflow in dividing {} / {}",
    "evaluation aborted with the following error message: '{}'",
    "assertion '{}' failed",
    "integer '{}' is not equal to integer '{}'",
    "float '{}' is not equal to float '{}'",
    "boolean '{v}' is not equal to boolean '{v}'",
    "string '{v}' is not equal to string '{v}'",
    "path '{v}' is not equal to path '{v}'",
    "list of size '{}' is not equal to list of size '{}', left hand side is '{v}', right hand side is '{v}'",
    "attribute names of attribute set '{v}' differs from attribute set '{v}'",
    "attribute name '{}' is contained in '{v}', but not in '{v}'",
    "attribute name '{}' is missing in '{v}', but is contained in '{v}'",
    "{} with value '{v}' is not equal to {} with value '{v}'",
    "{} of value '{v}' is not equal to {} of value '{v}'",
    "dynamic attribute '{}' already defined at {}",
    "the string '{}' is not allowed to refer to a store path (such as '{}')",
    "string '{}' doesn't represent an absolute path",
    "path '{}' is not in the Nix store",
    "'builtins.elemAt' called with index {} on a list of size {}",
    "cannot create list of size {}",
    "invalid regular expression '{}'",
    "unknown hash algorithm '{}'",
    "cannot look up '<{}>' in pure evaluation mode (use '--impure' to override)",
    "file '{}' was not found in the Nix search path (add it using $NIX_PATH or -I)",
];

/// A message with its colours.
pub(super) fn coloured(message: &str) -> String {
    MESSAGES.iter().find_map(|template| fill(template, message)).unwrap_or_else(|| message.to_owned())
}

/// The message in the colours of a template, if that is how it is worded.
fn fill(template: &str, message: &str) -> Option<String> {
    let Some(open) = template.find('{') else { return (template == message).then(|| message.to_owned()) };
    let (text, rest) = template.split_at(open);
    let message = message.strip_prefix(text)?;
    let (is_value, rest) = match rest.strip_prefix("{v}") {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix("{}")?),
    };
    let next = &rest[..rest.find('{').unwrap_or(rest.len())];
    if is_value {
        let (value, length) = coloured_value(message);
        return Some([text, &value, &fill(rest, &message[length..])?].concat());
    }
    let ends = message.match_indices(next).map(|(end, _)| end).filter(|end| *end > 0 || !next.is_empty());
    let ends = ends.chain(next.is_empty().then_some(message.len()));
    ends.into_iter().find_map(|end| {
        let after = fill(rest, &message[end..])?;
        Some([text, MAGENTA, &message[..end], NORMAL, &after].concat())
    })
}

/// A value at the beginning of a text in its colours, and how long it is there.
fn coloured_value(text: &str) -> (String, usize) {
    let mut shown = String::new();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let (length, colour) = token(rest);
        let part = &rest[..length];
        match part {
            "[" | "{" => depth += 1,
            "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        // The name of an attribute has no colour.
        let is_name = rest[length..].starts_with(" = ");
        match colour.filter(|_| !is_name) {
            Some(colour) => {
                let _ = write!(shown, "{colour}{part}{NORMAL}");
            }
            None => shown.push_str(part),
        }
        at += length;
        if depth == 0 {
            break;
        }
    }
    (shown, at)
}

/// How long the first word of a value is, and its colour.
fn token(text: &str) -> (usize, Option<&'static str>) {
    let first = text.chars().next().unwrap_or(' ');
    let word = |ends: fn(char) -> bool| text.find(ends).unwrap_or(text.len()).max(first.len_utf8());
    match first {
        '"' => {
            let mut escaped = false;
            let end = text.char_indices().skip(1).find(|(_, character)| {
                let is_end = *character == '"' && !escaped;
                escaped = *character == '\\' && !escaped;
                is_end
            });
            (end.map_or(text.len(), |(end, _)| end + 1), Some(MAGENTA))
        }
        '«' => {
            let end = text.find('»').map_or(text.len(), |end| end + '»'.len_utf8());
            let colour = match &text[..end] {
                "«thunk»" | "«repeated»" => MAGENTA,
                derivation if derivation.starts_with("«derivation") => GREEN,
                _ => BLUE,
            };
            (end, Some(colour))
        }
        '/' => (word(|character| " ,;'".contains(character)), Some(GREEN)),
        '-' | '0'..='9' => (word(|character| " ,;')".contains(character)), Some(CYAN)),
        'a'..='z' | 'A'..='Z' | '_' => {
            let end = word(|character| " ,;')=".contains(character));
            let is_constant = matches!(&text[..end], "true" | "false" | "null");
            (end, is_constant.then_some(CYAN))
        }
        _ => (first.len_utf8(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the colours as letters, and `.` for the end of one.
    fn shown(message: &str) -> String {
        let mut text = coloured(message);
        for (code, letter) in [(NORMAL, "."), (MAGENTA, "M:"), (CYAN, "C:"), (GREEN, "G:"), (BLUE, "B:")] {
            text = text.replace(code, letter);
        }
        text
    }

    #[test]
    fn what_goes_into_a_message_is_found_again() {
        let table = [
            ("attribute 'a' missing", "attribute 'M:a.' missing"),
            ("expected a list but found an integer: 5", "expected a list but found M:an integer.: C:5."),
            (
                "cannot coerce a set to a string: { a = 1; \"b c\" = [ \"x\\\" y\" true «thunk» ]; }",
                "cannot coerce M:a set. to a string: { a = C:1.; \"b c\" = [ M:\"x\\\" y\". C:true. M:«thunk». ]; }",
            ),
            (
                "cannot compare a string with a path; values are \" and \" and /x",
                "cannot compare M:a string. with M:a path.; values are M:\" and \". and G:/x.",
            ),
            (
                "an integer with value '1' is not equal to a string with value '\"'\"'",
                "M:an integer. with value 'C:1.' is not equal to M:a string. with value 'M:\"'\".'",
            ),
            (
                "function 'a' called with unexpected argument 'it's'",
                "function 'M:a.' called with unexpected argument 'M:it's.'",
            ),
            (
                "expected a set but found a function: «lambda f @ /x:1:1»",
                "expected a set but found M:a function.: B:«lambda f @ /x:1:1».",
            ),
            ("division by zero", "division by zero"),
            ("undefined variable 'x", "undefined variable 'x"),
            ("cannot add é to a float", "cannot add M:é. to a float"),
        ];
        for (message, expected) in table {
            assert_eq!(shown(message), expected);
        }
    }
}
