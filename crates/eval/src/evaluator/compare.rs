//! Order.

use nival_syntax::Pos;

use super::Evaluator;
use super::expect::describe_type;
use crate::error::{EvalError, FrameText, InFrame, Result};
use crate::value::{Value, View};

impl Evaluator {
    /// Whether a value is less than another (`<`). Both must be evaluated.
    pub fn less_than(
        &self,
        left: Value,
        right: Value,
        pos: Pos,
        frame: impl Into<FrameText>,
    ) -> Result<bool> {
        let result = match (left.view(), right.view()) {
            (View::Int(left), View::Int(right)) => Ok(left < right),
            (View::Float(left), View::Float(right)) => Ok(left < right),
            (View::Float(left), View::Int(right)) => Ok(left < right as f64),
            (View::Int(left), View::Float(right)) => Ok((left as f64) < right),
            (View::String(left), View::String(right)) | (View::Path(left), View::Path(right)) => {
                Ok(left.bytes() < right.bytes())
            }
            (View::List(left), View::List(right)) => self.list_less_than(left, right, pos),
            _ => Err(self.incomparable(left, right)),
        };
        result.frame(frame, Pos::NONE)
    }

    fn list_less_than(&self, left: crate::value::List, right: crate::value::List, pos: Pos) -> Result<bool> {
        for (left, right) in left.iter().zip(right.iter()) {
            if !self.same_or_equal(left, right, pos)? {
                let left = self.force(left, pos)?;
                let right = self.force(right, pos)?;
                return self.less_than(left, right, pos, "while comparing two list elements");
            }
        }
        Ok(left.len() < right.len())
    }

    #[cold]
    fn incomparable(&self, left: Value, right: Value) -> EvalError {
        let (left_type, right_type) = (describe_type(left), describe_type(right));
        let why = if left.type_name() == right.type_name() {
            "values of that type are incomparable (values are "
        } else {
            "values are "
        };
        let end = if why.ends_with("(values are ") { ")" } else { "" };
        EvalError::other(format!(
            "cannot compare {left_type} with {right_type}; {why}{} and {}{end}",
            self.print_for_error(left),
            self.print_for_error(right)
        ))
    }
}
