//! Strings: their length, parts, replacements, and regular expressions.

use std::cell::RefCell;
use std::collections::HashMap;

use nival_syntax::Pos;

use crate::context::{Context, Contexts};
use crate::ere::{Group, Regex, RegexError};
use crate::error::{EvalError, Result};
use crate::evaluator::{Coercion, Evaluator, Need};
use crate::hash::WordHash;
use crate::lately::Lately;
use crate::memory::Sighted;
use crate::value::{Builtin, Str, Value};

pub(super) static FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "concatStringsSep",
        arguments: &["separator", "list"],
        doc: "Puts the strings of a list together, with the separator between each two.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: concat_strings_sep,
    },
    Builtin {
        name: "match",
        arguments: &["regex", "str"],
        doc: "Matches the whole of a string with a POSIX extended regular expression. The result is `null` if it \
              doesn't match, else the list of what each group matched (`null` for a group that took no part).",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: match_whole,
    },
    Builtin {
        name: "replaceStrings",
        arguments: &["from", "to", "s"],
        doc: "Replaces each occurrence of a string of the first list by the string at the same place in the second. \
              Where several of the first list fit, the earliest in the list is taken. A replacement is evaluated \
              only if it is needed.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: replace_strings,
    },
    Builtin {
        name: "split",
        arguments: &["regex", "str"],
        doc: "Splits a string where a POSIX extended regular expression matches. The result has the strings between \
              the matches and, for each match, the list of what its groups matched.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: split,
    },
    Builtin {
        name: "stringLength",
        arguments: &["e"],
        doc: "The number of bytes of a string.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: string_length,
    },
    Builtin {
        name: "substring",
        arguments: &["start", "len", "s"],
        doc: "At most `len` bytes of a string from the byte `start` on; all the rest of it if `len` is negative.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: substring,
    },
    Builtin {
        name: "toString",
        arguments: &["e"],
        doc: "Makes a string of a value. Paths give their name and are not copied to the store, sets are asked for \
              `__toString` or `outPath`, `true` is `\"1\"`, `false` and `null` are `\"\"`, and the elements of lists \
              are joined with spaces.",
        global: true,
        internal: false,
        feature: None,
        traced: true,
        run: to_string,
    },
];

fn to_string(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument passed to builtins.toString";
    Ok(ev.coerce_to_string(arguments[0], Coercion::ToString, pos, frame)?.into())
}

fn string_length(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the argument passed to builtins.stringLength";
    let text = ev.coerce_to_string(arguments[0], Coercion::Interpolation, pos, frame)?;
    Ok(ev.int(text.bytes().len() as i64))
}

fn substring(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument (the start offset) passed to builtins.substring";
    let start = usize::try_from(ev.force_int(arguments[0], pos, frame)?)
        .map_err(|_| EvalError::other("negative start position in 'substring'").at(pos))?;
    let frame = "while evaluating the second argument (the substring length) passed to builtins.substring";
    let length = usize::try_from(ev.force_int(arguments[1], pos, frame)?).unwrap_or(usize::MAX);
    let frame = "while evaluating the third argument (the string) passed to builtins.substring";
    let text = ev.coerce_to_string(arguments[2], Coercion::Interpolation, pos, frame)?;
    let bytes = text.bytes();
    let rest = bytes.get(start..).unwrap_or_default();
    let part = &rest[..length.min(rest.len())];
    if part.len() == bytes.len() {
        return Ok(text.into());
    }
    Ok(ev.string_with_context(part, text.context()))
}

fn concat_strings_sep(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame =
        "while evaluating the first argument (the separator string) passed to builtins.concatStringsSep";
    let separator = ev.force_string(arguments[0], pos, frame)?;
    let frame = "while evaluating the second argument (the list of strings to concat) passed to \
                 builtins.concatStringsSep";
    let list = ev.force_list(arguments[1], pos, frame)?;
    let mut contexts = Contexts::default();
    contexts.add(separator.context());
    let separator = separator.bytes();
    let mut length = separator.len() * list.len().saturating_sub(1);
    let mut pieces: Vec<Str> = Vec::with_capacity(list.len());
    let _offer = ev.offer(Need::Text(Coercion::Interpolation), list.iter());
    for element in list.iter() {
        let frame = "while evaluating one element of the list of strings to concat passed to \
                     builtins.concatStringsSep";
        let piece = ev.coerce_to_string(element, Coercion::Interpolation, pos, frame)?;
        contexts.add(piece.context());
        length += piece.bytes().len();
        pieces.push(piece);
    }
    let context = contexts.union();
    if let [piece] = pieces[..]
        && piece.context() == context
    {
        return Ok(piece.into());
    }
    let joined = ev.make_string(length, context, |to| {
        let mut rest = to;
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                rest = put(rest, separator);
            }
            rest = put(rest, piece.bytes());
        }
    });
    Ok(joined.into())
}

/// Writes `bytes` at the beginning of `to`; gives what is left of it.
fn put<'a>(to: &'a mut [u8], bytes: &[u8]) -> &'a mut [u8] {
    let (here, rest) = to.split_at_mut(bytes.len());
    here.copy_from_slice(bytes);
    rest
}

fn replace_strings(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument passed to builtins.replaceStrings";
    let from = ev.force_list(arguments[0], pos, frame)?;
    let frame = "while evaluating the second argument passed to builtins.replaceStrings";
    let to = ev.force_list(arguments[1], pos, frame)?;
    if from.len() != to.len() {
        let message = "'from' and 'to' arguments passed to builtins.replaceStrings have different lengths";
        return Err(EvalError::other(message).at(pos));
    }
    let mut patterns: Vec<&[u8]> = Vec::with_capacity(from.len());
    // Which bytes a match can begin with.
    let mut starts = [false; 256];
    let mut matches_empty = false;
    for pattern in from.iter() {
        let frame = "while evaluating one of the strings to replace passed to builtins.replaceStrings";
        let pattern = ev.force_string(pattern, pos, frame)?.bytes();
        match pattern.first() {
            Some(byte) => starts[usize::from(*byte)] = true,
            None => matches_empty = true,
        }
        patterns.push(pattern);
    }
    let frame = "while evaluating the third argument passed to builtins.replaceStrings";
    let original = ev.force_string(arguments[2], pos, frame)?;
    let text = original.bytes();
    let mut context = original.context();
    let mut replacements: Vec<Option<&[u8]>> = vec![None; patterns.len()];
    let mut result = Vec::new();
    // What comes before is in the result.
    let mut copied = 0;
    let mut at = 0;
    while at <= text.len() {
        let can_start = matches_empty || text.get(at).is_some_and(|byte| starts[usize::from(*byte)]);
        let found = if can_start {
            patterns.iter().position(|pattern| text[at..].starts_with(pattern))
        } else {
            None
        };
        let Some(found) = found else {
            at += 1;
            continue;
        };
        let replacement = match replacements[found] {
            Some(known) => known,
            None => {
                let frame =
                    "while evaluating one of the replacement strings passed to builtins.replaceStrings";
                let value = to.get(found).expect("the lists have the same length");
                let bytes = ev.force_string_into(value, &mut context, pos, frame)?;
                replacements[found] = Some(bytes);
                bytes
            }
        };
        result.extend_from_slice(&text[copied..at]);
        result.extend_from_slice(replacement);
        copied = at + patterns[found].len();
        at += patterns[found].len().max(1);
    }
    if result.is_empty() && copied == 0 && context == original.context() {
        return Ok(original.into());
    }
    result.extend_from_slice(&text[copied..]);
    Ok(ev.string_with_context(result, context))
}

thread_local! {
    /// Patterns compiled before, as most are used again and again.
    static COMPILED: RefCell<HashMap<Box<[u8]>, &'static Regex, WordHash>> = RefCell::default();
    /// The same by where the strings are.
    static LATELY: Lately<Sighted, Option<&'static Regex>, 64> = Lately::new(Sighted::NOTHING, None);
}

fn compiled(pattern: Str, pos: Pos) -> Result<&'static Regex> {
    if let Some(Some(regex)) = LATELY.with(|lately| lately.get(pattern.sighted())) {
        return Ok(regex);
    }
    let regex = COMPILED.with_borrow_mut(|known| -> Result<&'static Regex> {
        let pattern = pattern.bytes();
        if let Some(regex) = known.get(pattern) {
            return Ok(*regex);
        }
        let regex = Regex::new(pattern).map_err(|error| regex_error(error, pattern, pos))?;
        let regex: &'static Regex = Box::leak(Box::new(regex));
        known.insert(pattern.into(), regex);
        Ok(regex)
    })?;
    LATELY.with(|lately| lately.set(pattern.sighted(), Some(regex)));
    Ok(regex)
}

#[cold]
fn regex_error(error: RegexError, pattern: &[u8], pos: Pos) -> EvalError {
    EvalError::other(format!("{error} '{}'", nival_syntax::raw_text(pattern))).at(pos)
}

fn match_whole(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument passed to builtins.match";
    let pattern = ev.force_plain_string(arguments[0], pos, frame)?;
    let regex = compiled(pattern, pos)?;
    let frame = "while evaluating the second argument passed to builtins.match";
    let text = ev.force_string(arguments[1], pos, frame)?.bytes();
    let groups = regex.match_whole(text).map_err(|error| regex_error(error, pattern.bytes(), pos))?;
    Ok(groups.map_or(Value::NULL, |groups| group_list(ev, text, &groups)))
}

fn split(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument passed to builtins.split";
    let pattern = ev.force_plain_string(arguments[0], pos, frame)?;
    let regex = compiled(pattern, pos)?;
    let frame = "while evaluating the second argument passed to builtins.split";
    let string = ev.force_string(arguments[1], pos, frame)?;
    let text = string.bytes();
    let found = regex.search_all(text).map_err(|error| regex_error(error, pattern.bytes(), pos))?;
    if found.is_empty() {
        return Ok(ev.list(&[string.into()]));
    }
    let mut list = ev.list_of(2 * found.len() + 1);
    let mut end = 0;
    for next in found {
        list.push(ev.string(&text[end..next.range.start]));
        list.push(group_list(ev, text, &next.groups));
        end = next.range.end;
    }
    list.push(ev.string(&text[end..]));
    Ok(list.finish().into())
}

/// What the groups of a match matched. The strings refer to nothing, as in the reference.
fn group_list(ev: &Evaluator, text: &[u8], groups: &[Group]) -> Value {
    let mut list = ev.list_of(groups.len());
    for group in groups {
        list.push(group.clone().map_or(Value::NULL, |range| ev.text(&text[range], Context::EMPTY).into()));
    }
    list.finish().into()
}
