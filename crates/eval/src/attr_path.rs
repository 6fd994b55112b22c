//! Selection paths of the command line: `a.b."c.d".0`.

use std::collections::BTreeMap;

use nival_syntax::{Pos, Symbol, suggestions};

use crate::error::{ErrorKind, EvalError, Result};
use crate::evaluator::{Evaluator, describe_type};
use crate::value::Value;

impl Evaluator {
    /// Walks along a path of names and list indices, calling functions on the way with `arguments`.
    pub fn find_along_path(
        &self,
        path: &str,
        arguments: &BTreeMap<Symbol, Value>,
        value: Value,
    ) -> Result<Value> {
        let mut value = value;
        for part in parse_path(path)? {
            value = self.auto_call(arguments, value)?;
            value = match part.parse::<u32>() {
                Ok(index) => element_on_path(path, index, value)?,
                Err(_) => attribute_on_path(path, &part, value)?,
            };
        }
        self.force(value, Pos::NONE)
    }
}

fn attribute_on_path(path: &str, name: &str, value: Value) -> Result<Value> {
    let Some(attrs) = value.as_attrs() else {
        return Err(EvalError::of_type(format!(
            "the expression selected by the selection path '{path}' should be a set but is {}",
            describe_type(value)
        )));
    };
    if name.is_empty() {
        return Err(EvalError::other(format!("empty attribute name in selection path '{path}'")));
    }
    attrs.get(Symbol::intern(name)).ok_or_else(|| {
        let names = attrs.iter().map(|attr| attr.name.as_bytes());
        let message = format!("attribute '{name}' in selection path '{path}' not found");
        EvalError::new(ErrorKind::MissingAttribute, message).with_suggestions(suggestions(name, names))
    })
}

fn element_on_path(path: &str, index: u32, value: Value) -> Result<Value> {
    let Some(list) = value.as_list() else {
        return Err(EvalError::of_type(format!(
            "the expression selected by the selection path '{path}' should be a list but is {}",
            describe_type(value)
        )));
    };
    list.get(index as usize).ok_or_else(|| {
        let message = format!("list index {index} in selection path '{path}' is out of range");
        EvalError::new(ErrorKind::MissingAttribute, message)
    })
}

/// The names in a selection path; a quoted one may hold dots.
pub fn parse_path(path: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut chars = path.chars();
    while let Some(char) = chars.next() {
        match char {
            '.' => names.push(std::mem::take(&mut name)),
            '"' => loop {
                match chars.next() {
                    Some('"') => break,
                    Some(char) => name.push(char),
                    None => {
                        let message = format!("missing closing quote in selection path '{path}'");
                        return Err(EvalError::new(ErrorKind::Syntax, message));
                    }
                }
            },
            _ => name.push(char),
        }
    }
    if !name.is_empty() {
        names.push(name);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::parse_path;

    #[test]
    fn paths_are_split_at_dots_outside_of_quotes() {
        for (path, expected) in [
            ("", &[][..]),
            ("a", &["a"]),
            ("a.b", &["a", "b"]),
            ("a.\"b.c\".d", &["a", "b.c", "d"]),
            ("a.", &["a"]),
            ("a..b", &["a", "", "b"]),
        ] {
            assert_eq!(parse_path(path).expect("a good path"), expected, "{path}");
        }
        assert!(parse_path("a.\"b").is_err());
    }
}
