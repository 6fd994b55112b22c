//! Lists.

use std::collections::BTreeMap;

use nival_syntax::{Pos, Symbol};

use crate::error::{ErrorKind, EvalError, Result};
use crate::evaluator::{Evaluator, Need, place_or};
use crate::value::{AttrsBuilder, Builtin, List, Value, View};

pub(super) static FUNCTIONS: &[Builtin] = &[
    Builtin::new(
        "all",
        &["pred", "list"],
        "Whether the predicate holds for every element.",
        |ev, arguments, pos| Ok(Value::bool(!some(ev, arguments, pos, "all", false)?)),
    ),
    Builtin::new(
        "any",
        &["pred", "list"],
        "Whether the predicate holds for at least one element.",
        |ev, arguments, pos| Ok(Value::bool(some(ev, arguments, pos, "any", true)?)),
    ),
    Builtin::new("concatLists", &["lists"], "One list of the elements of several.", |ev, arguments, pos| {
        let lists = ev.force_list(
            arguments[0],
            pos,
            "while evaluating the first argument passed to builtins.concatLists",
        )?;
        let frame = "while evaluating a value of the list passed to builtins.concatLists";
        let _offer = ev.offer(Need::Value, lists.iter());
        let mut forced: Vec<List> = Vec::with_capacity(lists.len());
        for list in lists.iter() {
            forced.push(ev.force_list(list, pos, frame)?);
        }
        Ok(ev.concat_lists(&forced).into())
    }),
    Builtin::new(
        "concatMap",
        &["f", "list"],
        "`concatLists (map f list)`, in one go.",
        |ev, arguments, pos| {
            let function = ev.force_function(
                arguments[0],
                pos,
                "while evaluating the first argument passed to builtins.concatMap",
            )?;
            let list = ev.force_list(
                arguments[1],
                pos,
                "while evaluating the second argument passed to builtins.concatMap",
            )?;
            let frame = "while evaluating the return value of the function passed to builtins.concatMap";
            let place = place_or(function, pos);
            let mut lists: Vec<List> = Vec::with_capacity(list.len());
            ev.call_for_each(function, list, pos, |_, result| {
                lists.push(ev.force_list(result, place_or(result, place), frame)?);
                Ok(())
            })?;
            Ok(ev.concat_lists(&lists).into())
        },
    ),
    Builtin::new(
        "elem",
        &["x", "list"],
        "Whether the list has an element equal to `x`.",
        |ev, arguments, pos| {
            let list = ev.force_list(
                arguments[1],
                pos,
                "while evaluating the second argument passed to builtins.elem",
            )?;
            Ok(Value::bool(ev.has_element(list, arguments[0], pos)?))
        },
    ),
    Builtin::new(
        "elemAt",
        &["list", "n"],
        "The element with number `n`; the first has number 0.",
        |ev, arguments, pos| {
            let index = ev.force_int(
                arguments[1],
                pos,
                "while evaluating the second argument passed to 'builtins.elemAt'",
            )?;
            let list = ev.force_list(
                arguments[0],
                pos,
                "while evaluating the first argument passed to 'builtins.elemAt'",
            )?;
            let element = usize::try_from(index).ok().and_then(|index| list.get(index));
            element.ok_or_else(|| {
                EvalError::other(format!(
                    "'builtins.elemAt' called with index {index} on a list of size {}",
                    list.len()
                ))
                .at(pos)
            })
        },
    ),
    Builtin::new("filter", &["pred", "list"], "The elements for which the predicate holds.", filter),
    Builtin::new(
        "foldl'",
        &["op", "nul", "list"],
        "Combines the elements from the left: `op (op (op nul x0) x1) x2 …`. What `op` gives is evaluated at once.",
        |ev, arguments, pos| {
            let function = ev.force_function(
                arguments[0],
                pos,
                "while evaluating the first argument passed to builtins.foldlStrict",
            )?;
            let list = ev.force_list(
                arguments[2],
                pos,
                "while evaluating the third argument passed to builtins.foldlStrict",
            )?;
            ev.fold(function, arguments[1], list, pos)
        },
    ),
    Builtin::new(
        "genList",
        &["generator", "length"],
        "A list of the length whose elements are `generator 0`, `generator 1` …",
        |ev, arguments, pos| {
            let length = ev.force_int(
                arguments[1],
                pos,
                "while evaluating the second argument passed to builtins.genList",
            )?;
            let wanted = usize::try_from(length)
                .map_err(|_| EvalError::other(format!("cannot create list of size {length}")).at(pos))?;
            let frame = "while evaluating the first argument passed to builtins.genList";
            let function = ev.force_function(arguments[0], pos, frame)?;
            if wanted >= 1 << 32 {
                return Err(EvalError::new(ErrorKind::OutOfMemory, "out of memory"));
            }
            Ok(List::generated(&ev.heap, function, wanted).into())
        },
    ),
    Builtin::new(
        "groupBy",
        &["f", "list"],
        "A set of lists: each element is in the list that `f` names for it.",
        |ev, arguments, pos| {
            let function = ev.force_function(
                arguments[0],
                pos,
                "while evaluating the first argument passed to builtins.groupBy",
            )?;
            let list = ev.force_list(
                arguments[1],
                pos,
                "while evaluating the second argument passed to builtins.groupBy",
            )?;
            let frame =
                "while evaluating the return value of the grouping function passed to builtins.groupBy";
            let mut groups: BTreeMap<Symbol, Vec<Value>> = BTreeMap::new();
            ev.call_for_each(function, list, pos, |element, name| {
                let name = ev.force_plain_string(name, pos, frame)?;
                groups.entry(Symbol::intern(name.bytes())).or_default().push(element);
                Ok(())
            })?;
            let mut result = AttrsBuilder::with_capacity(groups.len());
            for (name, elements) in groups {
                result.insert(name, ev.list(&elements), Pos::NONE);
            }
            Ok(ev.attrs(result))
        },
    ),
    Builtin::new("head", &["list"], "The first element.", |ev, arguments, pos| {
        let list = ev.force_list(
            arguments[0],
            pos,
            "while evaluating the first argument passed to 'builtins.head'",
        )?;
        list.get(0).ok_or_else(|| EvalError::other("'builtins.head' called on an empty list").at(pos))
    }),
    Builtin::new("length", &["list"], "The number of elements.", |ev, arguments, pos| {
        let list = ev.force_list(
            arguments[0],
            pos,
            "while evaluating the first argument passed to builtins.length",
        )?;
        Ok(ev.int(list.len() as i64))
    }),
    Builtin::new("map", &["f", "list"], "A list of what `f` makes of each element.", |ev, arguments, pos| {
        let list =
            ev.force_list(arguments[1], pos, "while evaluating the second argument passed to builtins.map")?;
        if list.is_empty() {
            return Ok(list.into());
        }
        let function = ev.force_function(
            arguments[0],
            pos,
            "while evaluating the first argument passed to builtins.map",
        )?;
        Ok(List::mapped(&ev.heap, function, list).into())
    })
    .global(),
    Builtin::new(
        "partition",
        &["pred", "list"],
        "A set with the elements for which the predicate holds (`right`) and the others (`wrong`).",
        |ev, arguments, pos| {
            let function = ev.force_function(
                arguments[0],
                pos,
                "while evaluating the first argument passed to builtins.partition",
            )?;
            let list = ev.force_list(
                arguments[1],
                pos,
                "while evaluating the second argument passed to builtins.partition",
            )?;
            let frame =
                "while evaluating the return value of the partition function passed to builtins.partition";
            let (mut right, mut wrong) = (Vec::new(), Vec::new());
            let evaluate = |element| ev.force(element, pos).map(|_| ());
            ev.prepare_and_call_for_each(function, list, pos, evaluate, |element, holds| {
                let holds = ev.force_bool(holds, pos, frame)?;
                if holds {
                    right.push(element);
                } else {
                    wrong.push(element);
                }
                Ok(())
            })?;
            let mut result = AttrsBuilder::with_capacity(2);
            result.add("right", ev.list(&right));
            result.add("wrong", ev.list(&wrong));
            Ok(ev.attrs(result))
        },
    ),
    Builtin::new(
        "sort",
        &["comparator", "list"],
        "The list in the order that the comparator says. Equal elements keep their order.",
        sort,
    ),
    Builtin::new("tail", &["list"], "The list without its first element.", |ev, arguments, pos| {
        let list = ev.force_list(
            arguments[0],
            pos,
            "while evaluating the first argument passed to 'builtins.tail'",
        )?;
        match list.to_vec().split_first() {
            Some((_, rest)) => Ok(ev.list(rest)),
            None => Err(EvalError::other("'builtins.tail' called on an empty list").at(pos)),
        }
    }),
];

fn some(ev: &Evaluator, arguments: &[Value], pos: Pos, name: &str, wanted: bool) -> Result<bool> {
    // Frames are worded only for an error: this is on the way of everything.
    let frame = |what: &str| format!("while evaluating the {what} passed to builtins.{name}");
    let function = match ev.force_function(arguments[0], pos, "") {
        Ok(function) => function,
        Err(error) => return Err(error.with_frame(frame("first argument"), pos)),
    };
    let list = ev.force(arguments[1], pos)?;
    let list = match list.view() {
        View::List(list) => list,
        _ => ev.force_list(list, pos, frame("second argument"))?,
    };
    for element in list.iter() {
        let holds = ev.call(function, &[element], pos)?;
        let View::Bool(holds) = holds.view() else {
            return ev.force_bool(holds, pos, frame("return value of the function"));
        };
        if holds == wanted {
            return Ok(true);
        }
    }
    Ok(false)
}

fn filter(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let list =
        ev.force_list(arguments[1], pos, "while evaluating the second argument passed to builtins.filter")?;
    if list.is_empty() {
        return Ok(list.into());
    }
    let function = ev.force_function(
        arguments[0],
        pos,
        "while evaluating the first argument passed to builtins.filter",
    )?;
    let frame = "while evaluating the return value of the filtering function passed to builtins.filter";
    let mut kept = Vec::with_capacity(list.len());
    ev.call_for_each(function, list, pos, |element, holds| {
        if ev.force_bool(holds, pos, frame)? {
            kept.push(element);
        }
        Ok(())
    })?;
    Ok(if kept.len() == list.len() { list.into() } else { ev.list(&kept) })
}

fn sort(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let list =
        ev.force_list(arguments[1], pos, "while evaluating the second argument passed to builtins.sort")?;
    if list.is_empty() {
        return Ok(list.into());
    }
    let function =
        ev.force_function(arguments[0], pos, "while evaluating the first argument passed to builtins.sort")?;
    let is_plain_order = matches!(function.view(), View::Builtin(builtin) if builtin.name == "lessThan");
    let mut less = |left: Value, right: Value| {
        if is_plain_order {
            let (left, right) = (ev.force(left, pos)?, ev.force(right, pos)?);
            return ev.less_than(
                left,
                right,
                pos,
                "while evaluating the ordering function passed to builtins.sort",
            );
        }
        let frame = "while evaluating the return value of the sorting function passed to builtins.sort";
        ev.force_bool(ev.call(function, &[left, right], pos)?, pos, frame)
    };
    let mut values = list.to_vec();
    for value in &values {
        ev.force(*value, pos)?;
    }
    super::sort::sort(&mut values, &mut less)?;
    Ok(ev.list(&values))
}
