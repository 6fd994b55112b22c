//! Attribute sets, and what functions say of their arguments.

use nival_syntax::{Pos, Symbol};

use crate::error::{EvalError, InFrame, Result};
use crate::evaluator::{Evaluator, Need};
use crate::value::{Attr, Attrs, AttrsBuilder, Builtin, Keys, Rest, Value, View};

pub(super) static FUNCTIONS: &[Builtin] = &[
    Builtin::new(
        "attrNames",
        &["set"],
        "The names of the attributes, in alphabetical order.",
        |ev, arguments, pos| {
            let attrs = set(ev, arguments[0], pos, "", "attrNames")?;
            let mut names = ev.list_of(attrs.len());
            for attr in attrs.by_name() {
                names.push(ev.name_string(attr.name));
            }
            Ok(names.finish().into())
        },
    ),
    Builtin::new(
        "attrValues",
        &["set"],
        "The values of the attributes, in the order of their names.",
        |ev, arguments, pos| {
            let attrs = set(ev, arguments[0], pos, "", "attrValues")?;
            let mut values = ev.list_of(attrs.len());
            for attr in attrs.by_name() {
                values.push(attr.value);
            }
            Ok(values.finish().into())
        },
    ),
    Builtin::new(
        "getAttr",
        &["s", "set"],
        "The attribute named `s`; an error if there is none.",
        |ev, arguments, pos| {
            let name = name(ev, arguments[0], pos, "getAttr")?;
            let attrs = set(ev, arguments[1], pos, "second ", "getAttr")?;
            ev.required_attr(attrs, name, "in the attribute set under consideration")
        },
    ),
    Builtin::new(
        "hasAttr",
        &["s", "set"],
        "Whether the set has an attribute named `s`.",
        |ev, arguments, pos| {
            let name = name(ev, arguments[0], pos, "hasAttr")?;
            Ok(Value::bool(set(ev, arguments[1], pos, "second ", "hasAttr")?.contains(name)))
        },
    ),
    Builtin::new(
        "removeAttrs",
        &["set", "list"],
        "The set without the attributes that the list names.",
        |ev, arguments, pos| {
            let attrs = set(ev, arguments[0], pos, "first ", "removeAttrs")?;
            let list = ev.force_list(
                arguments[1],
                pos,
                "while evaluating the second argument passed to builtins.removeAttrs",
            )?;
            let without_known = |names: &'static Keys| {
                attrs.without(&ev.heap, names.names(), |set| Rest::of_met(&ev.heap, set, names))
            };
            if let Some(names) = ev.known_names_in(list) {
                return Ok(without_known(names).into());
            }
            let frame = "while evaluating the values of the second argument passed to builtins.removeAttrs";
            let mut names = Vec::with_capacity(list.len());
            for name in list.iter() {
                names.push(ev.name_of(ev.force_plain_string(name, pos, frame)?));
            }
            names.sort_unstable();
            names.dedup();
            Ok(match ev.keep_names_in(list, &names) {
                Some(names) => without_known(names),
                None => attrs.without(&ev.heap, &names, |_| None),
            }
            .into())
        },
    )
    .global(),
    Builtin::new(
        "listToAttrs",
        &["list"],
        "A set of a list of `{ name = …; value = …; }`; of two with one name, the first counts.",
        list_to_attrs,
    ),
    Builtin::new(
        "intersectAttrs",
        &["e1", "e2"],
        "The attributes of `e2` that `e1` has too.",
        |ev, arguments, pos| {
            let left = set(ev, arguments[0], pos, "first ", "intersectAttrs")?;
            let right = set(ev, arguments[1], pos, "second ", "intersectAttrs")?;
            let keys = left.keys(&ev.heap);
            let both = right.among(keys.names());
            Ok(if both.len() == right.most() {
                right.into()
            } else if both.len() == keys.names().len() {
                // Functions are mostly given all that they ask for.
                right.part_with(&ev.heap, keys, &both).into()
            } else {
                right.part(&ev.heap, &both).into()
            })
        },
    ),
    Builtin::new(
        "catAttrs",
        &["attr", "list"],
        "The attribute of each set in the list that has it.",
        |ev, arguments, pos| {
            let name = name(ev, arguments[0], pos, "catAttrs")?;
            let list = ev.force_list(
                arguments[1],
                pos,
                "while evaluating the second argument passed to builtins.catAttrs",
            )?;
            let frame =
                "while evaluating an element in the list passed as second argument to builtins.catAttrs";
            let _offer = ev.offer(Need::Value, list.iter());
            let mut found = Vec::with_capacity(list.len());
            for element in list.iter() {
                found.extend(ev.force_attrs(element, pos, frame)?.get(name));
            }
            Ok(ev.list(&found))
        },
    ),
    Builtin::new(
        "mapAttrs",
        &["f", "attrset"],
        "The set with `f name value` for each value.",
        |ev, arguments, pos| {
            let attrs = set(ev, arguments[1], pos, "second ", "mapAttrs")?;
            Ok(Attrs::mapped(&ev.heap, arguments[0], attrs).into())
        },
    ),
    Builtin::new(
        "zipAttrsWith",
        &["f", "list"],
        "One set of several: `f name values` for each name, with the values in the order of the list.",
        zip_attrs_with,
    ),
    Builtin::new(
        "functionArgs",
        &["f"],
        "The names of the arguments in a function's `{ … }`, each with whether it has a default.",
        |ev, arguments, pos| {
            let function = ev.force(arguments[0], pos)?;
            let mut result = AttrsBuilder::new();
            match function.view() {
                View::Builtin(_) | View::Partial(_) => {}
                View::Lambda(lambda) => {
                    for (attr, has_default) in ev.function_arguments(lambda).unwrap_or_default() {
                        result.insert(attr.name, Value::bool(has_default), attr.pos());
                    }
                }
                _ => return Err(EvalError::of_type("'functionArgs' requires a function").at(pos)),
            }
            Ok(ev.attrs(result))
        },
    ),
    Builtin::new(
        "unsafeGetAttrPos",
        &["s", "set"],
        "Where an attribute was written, as `{ file, line, column }`, or `null`.",
        |ev, arguments, pos| {
            let name = name(ev, arguments[0], pos, "unsafeGetAttrPos")?;
            let attrs = set(ev, arguments[1], pos, "second ", "unsafeGetAttrPos")?;
            Ok(attrs.get_attr(name).map_or(Value::NULL, |attr| ev.position(attr.pos())))
        },
    ),
];

fn set(ev: &Evaluator, value: Value, pos: Pos, which: &str, builtin: &str) -> Result<Attrs> {
    // The frame is worded only for an error: this is on the way of everything.
    let forced = ev.force(value, pos)?;
    match forced.as_attrs() {
        Some(attrs) => Ok(attrs),
        None => ev.force_attrs(
            forced,
            pos,
            format!("while evaluating the {which}argument passed to builtins.{builtin}"),
        ),
    }
}

fn name(ev: &Evaluator, value: Value, pos: Pos, builtin: &str) -> Result<Symbol> {
    let frame = || format!("while evaluating the first argument passed to builtins.{builtin}");
    let forced = ev.force(value, pos).frame_with(frame, pos)?;
    if let Some(text) = forced.as_str()
        && text.context().is_empty()
    {
        return Ok(ev.name_of(text));
    }
    Ok(ev.name_of(ev.force_plain_string(forced, pos, frame())?))
}

fn list_to_attrs(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let list =
        ev.force_list(arguments[0], pos, "while evaluating the argument passed to builtins.listToAttrs")?;
    let required = |pair: Attrs, name: Symbol| match pair.get_attr(name) {
        Some(attr) => Ok(attr),
        None => {
            let missing = ev.required_attr(pair, name, "in a {name=...; value=...;} pair");
            missing.map(|value| Attr::new(name, value, Pos::NONE))
        }
    };
    let mut pairs = Vec::with_capacity(list.len());
    for element in list.iter() {
        let frame = "while evaluating an element of the list passed to builtins.listToAttrs";
        let pair = ev.force_attrs(element, pos, frame)?;
        let name = required(pair, Symbol::NAME)?;
        let frame =
            "while evaluating the `name` attribute of an element of the list passed to builtins.listToAttrs";
        let text = ev.force_plain_string(name.value, name.pos(), frame)?;
        pairs.push((ev.name_of(text), pair));
    }
    // The first of several counts, and only its value must be there.
    pairs.sort_by_key(|(name, _)| *name);
    pairs.dedup_by_key(|(name, _)| *name);
    let mut result = AttrsBuilder::with_capacity(pairs.len());
    for (name, pair) in pairs {
        let value = required(pair, Symbol::VALUE)?;
        result.insert(name, value.value, value.pos());
    }
    Ok(ev.attrs(result))
}

fn zip_attrs_with(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let function = ev.force_function(
        arguments[0],
        pos,
        "while evaluating the first argument passed to builtins.zipAttrsWith",
    )?;
    let list = ev.force_list(
        arguments[1],
        pos,
        "while evaluating the second argument passed to builtins.zipAttrsWith",
    )?;
    let frame = "while evaluating a value of the list passed as second argument to builtins.zipAttrsWith";
    let _offer = ev.offer(Need::Value, list.iter());
    let mut entries: Vec<(Symbol, Value)> = Vec::new();
    for element in list.iter() {
        let attrs = ev.force_attrs(element, pos, frame)?;
        entries.extend(attrs.iter().map(|attr| (attr.name, attr.value)));
    }
    // A stable sort sees that each set is sorted, and keeps the order of the list.
    entries.sort_by_key(|(name, _)| *name);
    let of_one_name = || entries.chunk_by(|(name, _), (next, _)| name == next);
    let names: Vec<Symbol> = of_one_name().map(|entries| entries[0].0).collect();
    let mut lists = ev.list_of(names.len());
    for entries in of_one_name() {
        let mut values = ev.list_of(entries.len());
        for (_, value) in entries {
            values.push(*value);
        }
        lists.push(values.finish().into());
    }
    Ok(Attrs::zipped(&ev.heap, function, &names, lists.finish()).into())
}
