//! Arithmetic and order.

use nival_syntax::Pos;

use crate::error::{ErrorKind, EvalError, InFrame, Result};
use crate::evaluator::{Evaluator, place_or};
use crate::value::{Builtin, Value, View};

pub(super) static FUNCTIONS: &[Builtin] = &[
    Builtin::new("add", &["e1", "e2"], "The sum of two numbers.", |ev, arguments, pos| {
        let frames = [
            "while evaluating the first argument of the addition",
            "while evaluating the second argument of the addition",
            "while evaluating the first argument of the addition",
        ];
        arithmetic(
            ev,
            arguments,
            pos,
            frames,
            |a, b| a + b,
            i64::checked_add,
            |a, b| format!("integer overflow in adding {a} + {b}"),
        )
    }),
    Builtin::new("sub", &["e1", "e2"], "The difference of two numbers.", |ev, arguments, pos| {
        let frames = [
            "while evaluating the first argument of the subtraction",
            "while evaluating the second argument of the subtraction",
            "while evaluating the first argument of the subtraction",
        ];
        arithmetic(
            ev,
            arguments,
            pos,
            frames,
            |a, b| a - b,
            i64::checked_sub,
            |a, b| format!("integer overflow in subtracting {a} - {b}"),
        )
    }),
    Builtin::new("mul", &["e1", "e2"], "The product of two numbers.", |ev, arguments, pos| {
        // The reference words it otherwise for floats.
        let frames = [
            "while evaluating the first argument of the multiplication",
            "while evaluating the second argument of the multiplication",
            "while evaluating the first of the multiplication",
        ];
        arithmetic(
            ev,
            arguments,
            pos,
            frames,
            |a, b| a * b,
            i64::checked_mul,
            |a, b| format!("integer overflow in multiplying {a} * {b}"),
        )
    }),
    Builtin::new(
        "div",
        &["e1", "e2"],
        "The quotient of two numbers; of two integers, without its fraction.",
        divide,
    ),
    Builtin::new(
        "lessThan",
        &["e1", "e2"],
        "Whether the first value comes before the second, as `<` has it.",
        |ev, arguments, pos| {
            let (left, right) = (ev.force(arguments[0], pos)?, ev.force(arguments[1], pos)?);
            Ok(Value::bool(ev.less_than(left, right, pos, "")?))
        },
    ),
    Builtin::new("bitAnd", &["e1", "e2"], "The bits that are set in both integers.", |ev, arguments, pos| {
        let [a, b] = integers(ev, arguments, pos, "bitAnd")?;
        Ok(ev.int(a & b))
    }),
    Builtin::new("bitOr", &["e1", "e2"], "The bits that are set in either integer.", |ev, arguments, pos| {
        let [a, b] = integers(ev, arguments, pos, "bitOr")?;
        Ok(ev.int(a | b))
    }),
    Builtin::new(
        "bitXor",
        &["e1", "e2"],
        "The bits that are set in one of the integers alone.",
        |ev, arguments, pos| {
            let [a, b] = integers(ev, arguments, pos, "bitXor")?;
            Ok(ev.int(a ^ b))
        },
    ),
    Builtin::new("ceil", &["number"], "The smallest integer that is not less.", |ev, arguments, pos| {
        round(ev, arguments, pos, "ceil", f64::ceil)
    }),
    Builtin::new("floor", &["number"], "The largest integer that is not greater.", |ev, arguments, pos| {
        round(ev, arguments, pos, "floor", f64::floor)
    }),
];

fn arithmetic(
    ev: &Evaluator,
    arguments: &[Value],
    pos: Pos,
    [first, second, first_of_floats]: [&'static str; 3],
    floats: fn(f64, f64) -> f64,
    integers: fn(i64, i64) -> Option<i64>,
    overflow: fn(i64, i64) -> String,
) -> Result<Value> {
    let (left, right) = (ev.force(arguments[0], pos)?, ev.force(arguments[1], pos)?);
    if matches!(left.view(), View::Float(_)) || matches!(right.view(), View::Float(_)) {
        let (left, right) =
            (ev.force_float(left, pos, first_of_floats)?, ev.force_float(right, pos, second)?);
        return Ok(ev.float(floats(left, right)));
    }
    let (left, right) = (ev.force_int(left, pos, first)?, ev.force_int(right, pos, second)?);
    let result = integers(left, right);
    result
        .map(|result| ev.int(result))
        .ok_or_else(|| EvalError::new(ErrorKind::Arithmetic, overflow(left, right)).at(pos))
}

fn divide(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frames = [
        "while evaluating the first operand of the division",
        "while evaluating the second operand of the division",
        "while evaluating the first operand of the division",
    ];
    let divisor = ev.force(arguments[1], pos)?;
    if ev.force_float(divisor, pos, frames[1])? == 0.0 {
        return Err(EvalError::new(ErrorKind::Arithmetic, "division by zero").at(pos));
    }
    arithmetic(
        ev,
        arguments,
        pos,
        frames,
        |a, b| a / b,
        i64::checked_div,
        |a, b| format!("integer overflow in dividing {a} / {b}"),
    )
}

fn integers(ev: &Evaluator, arguments: &[Value], pos: Pos, name: &str) -> Result<[i64; 2]> {
    Ok([
        ev.force_int(
            arguments[0],
            pos,
            format!("while evaluating the first argument passed to builtins.{name}"),
        )?,
        ev.force_int(
            arguments[1],
            pos,
            format!("while evaluating the second argument passed to builtins.{name}"),
        )?,
    ])
}

fn round(ev: &Evaluator, arguments: &[Value], pos: Pos, name: &str, how: fn(f64) -> f64) -> Result<Value> {
    let frame = || format!("while evaluating the first argument passed to builtins.{name}");
    let place = place_or(arguments[0], pos);
    let value = ev.force(arguments[0], place).frame_with(frame, place)?;
    let number = ev.force_float(value, place, frame())?;
    let error = |message: String| Err(EvalError::new(ErrorKind::Arithmetic, message).at(pos));
    let rounded = how(number);
    // 2^63 is the first float that is no 64-bit integer.
    let in_range = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded);
    let View::Int(given) = value.view() else {
        if in_range {
            return Ok(ev.int(rounded as i64));
        }
        let shown = nival_syntax::print::float(number);
        return error(format!("NixFloat argument {shown} is not in the range of NixInt"));
    };
    // The reference refuses integers that are no floats, as it once rounded them.
    let bug = "Due to a bug (see https://github.com/NixOS/nix/issues/12899)";
    let future = "previous Nix versions";
    if !in_range {
        return error(format!(
            "{bug} the NixInt argument {given} caused undefined behavior in {future}.\n\tFuture Nix versions might \
             implement the correct behavior."
        ));
    }
    if rounded as i64 != given {
        return error(format!(
            "{bug} a loss of precision occurred in {future} because the NixInt argument {given} was rounded to \
             {}.\n\tFuture Nix versions might implement the correct behavior.",
            rounded as i64
        ));
    }
    Ok(value)
}
