//! Why two values are not equal, for a failed `assert left == right`.

use nival_syntax::{Pos, Symbol};

use super::Evaluator;
use super::equality::is_same_element;
use super::expect::describe_type;
use crate::error::{ErrorKind, EvalError, InFrame, Result};
use crate::value::{Attrs, List, Value, View};

impl Evaluator {
    /// An error that names the first difference; nothing if there is none after all.
    pub(crate) fn explain_inequality(&self, left: Value, right: Value, pos: Pos) -> Result<()> {
        let _depth = self.enter(pos)?;
        let left = self.force(left, pos)?;
        let right = self.force(right, pos)?;
        let show = |value| self.print_for_error(value);
        let pair =
            |what: &str| differ(format!("{what} '{}' is not equal to {what} '{}'", show(left), show(right)));
        match (left.view(), right.view()) {
            (View::Int(_) | View::Float(_), View::Int(_) | View::Float(_)) => {
                if self.equal(left, right, pos)? {
                    return Ok(());
                }
                Err(differ(format!(
                    "{} with value '{}' is not equal to {} with value '{}'",
                    describe_type(left),
                    show(left),
                    describe_type(right),
                    show(right)
                )))
            }
            _ if left.type_name() != right.type_name() => Err(differ(format!(
                "{} of value '{}' is not equal to {} of value '{}'",
                describe_type(left),
                show(left),
                describe_type(right),
                show(right)
            ))),
            (View::Bool(first), View::Bool(second)) if first != second => Err(pair("boolean")),
            (View::String(first), View::String(second)) if first.bytes() != second.bytes() => {
                Err(pair("string"))
            }
            (View::Path(first), View::Path(second)) if first.bytes() != second.bytes() => Err(pair("path")),
            (View::List(first), View::List(second)) => self.explain_lists(first, second, pos),
            (View::Attrs(first), View::Attrs(second)) => self.explain_attrs(first, second, pos),
            _ if left.is_function() => Err(differ(
                "distinct functions and immediate comparisons of identical functions compare as unequal"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }

    fn explain_elements(&self, left: Value, right: Value, pos: Pos) -> Result<()> {
        if is_same_element(left, right) {
            return self.force(left, pos).map(|_| ());
        }
        self.explain_inequality(left, right, pos)
    }

    fn explain_lists(&self, left: List, right: List, pos: Pos) -> Result<()> {
        if left.len() != right.len() {
            return Err(differ(format!(
                "list of size '{}' is not equal to list of size '{}', left hand side is '{}', right hand side \
                 is '{}'",
                left.len(),
                right.len(),
                self.print_for_error(left.into()),
                self.print_for_error(right.into())
            )));
        }
        for (index, (left, right)) in left.iter().zip(right.iter()).enumerate() {
            self.explain_elements(left, right, pos)
                .frame_with(|| format!("while comparing list element {index}"), pos)?;
        }
        Ok(())
    }

    fn explain_attrs(&self, left: Attrs, right: Attrs, pos: Pos) -> Result<()> {
        if self.is_derivation(left.into())? && self.is_derivation(right.into())? {
            let paths = (left.get(Symbol::OUT_PATH), right.get(Symbol::OUT_PATH));
            if let (Some(left), Some(right)) = paths {
                let frame = "while comparing a derivation by its 'outPath' attribute";
                return self.explain_elements(left, right, pos).frame(frame, pos);
            }
        }
        let (left_shown, right_shown) =
            (|| self.print_for_error(left.into()), || self.print_for_error(right.into()));
        if left.len() != right.len() {
            return Err(differ(format!(
                "attribute names of attribute set '{}' differs from attribute set '{}'",
                left_shown(),
                right_shown()
            )));
        }
        for (first, second) in left.iter().zip(right.iter()) {
            if first.name != second.name {
                let (name, how) = if right.contains(first.name) {
                    (second.name, ("is missing in", "but is contained in"))
                } else {
                    (first.name, ("is contained in", "but not in"))
                };
                return Err(differ(format!(
                    "attribute name '{}' {} '{}', {} '{}'",
                    name.to_identifier(),
                    how.0,
                    left_shown(),
                    how.1,
                    right_shown()
                )));
            }
            let side = |text: &'static str, pos: Pos| if pos.is_none() { "" } else { text };
            self.explain_elements(first.value, second.value, pos)
                .frame(side("where right hand side is", second.pos()), second.pos())
                .frame(side("where left hand side is", first.pos()), first.pos())
                .frame_with(|| format!("while comparing attribute '{}'", first.name.to_identifier()), pos)?;
        }
        Ok(())
    }
}

fn differ(message: String) -> EvalError {
    EvalError::new(ErrorKind::Assertion, message)
}
