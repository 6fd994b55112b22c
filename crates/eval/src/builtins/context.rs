//! Built-in functions on what strings refer to.
//!
//! What each takes and says is C++ Nix 2.34's `src/libexpr/primops/context.cc`.

use std::collections::BTreeMap;

use nival_formats::StorePath;
use nival_syntax::{Pos, Symbol};

use super::text;
use crate::context::{Context, ContextElement, DerivationRef};
use crate::error::{ErrorKind, EvalError, Result};
use crate::evaluator::{Coercion, Evaluator};
use crate::value::{AttrsBuilder, Builtin, Value};

pub(super) static FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "hasContext",
        arguments: &["string"],
        doc: "Whether a string refers to store paths.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: has_context,
    },
    Builtin {
        name: "getContext",
        arguments: &["string"],
        doc: "What a string refers to: a set of store paths, each with `path`, `allOutputs` or `outputs`.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: get_context,
    },
    Builtin {
        name: "appendContext",
        arguments: &["string", "context"],
        doc: "The string, which also refers to what a set such as that of `getContext` says.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: append_context,
    },
    Builtin {
        name: "unsafeDiscardStringContext",
        arguments: &["string"],
        doc: "The string without what it refers to.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: discard_context,
    },
    Builtin {
        name: "unsafeDiscardOutputDependency",
        arguments: &["string"],
        doc: "The string, which refers to `.drv` files alone where it referred to all that belongs to them.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: discard_output_dependency,
    },
    Builtin {
        name: "addDrvOutputDependencies",
        arguments: &["string"],
        doc: "The string, which refers to all that belongs to a derivation where it referred to its `.drv` file alone.",
        global: false,
        internal: false,
        feature: None,
        traced: true,
        run: add_output_dependencies,
    },
    Builtin {
        name: "outputOf",
        arguments: &["derivation", "output"],
        doc: "The path of an output of a derivation that is given by the path of its `.drv` file.",
        global: false,
        internal: false,
        feature: Some("dynamic-derivations"),
        traced: true,
        run: output_of,
    },
];

fn has_context(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the argument passed to builtins.hasContext";
    let string = ev.force_string(arguments[0], pos, frame)?;
    Ok(Value::bool(!string.context().is_empty()))
}

/// What is said of one store path.
#[derive(Default)]
struct Uses {
    path: bool,
    all_outputs: bool,
    outputs: Vec<Value>,
}

fn get_context(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the argument passed to builtins.getContext";
    let string = ev.force_string(arguments[0], pos, frame)?;
    let mut paths: BTreeMap<StorePath, Uses> = BTreeMap::new();
    for element in string.context().elements() {
        match element {
            ContextElement::Path(path) => paths.entry(path.clone()).or_default().path = true,
            ContextElement::Closure(path) => paths.entry(path.clone()).or_default().all_outputs = true,
            ContextElement::Output { derivation, output } => {
                paths.entry(built_derivation(ev, derivation)?).or_default().outputs.push(ev.string(output));
            }
        }
    }
    let mut result = AttrsBuilder::with_capacity(paths.len());
    for (path, uses) in paths {
        let mut attrs = AttrsBuilder::new();
        if uses.path {
            attrs.add("path", Value::TRUE);
        }
        if uses.all_outputs {
            attrs.add("allOutputs", Value::TRUE);
        }
        if !uses.outputs.is_empty() {
            attrs.add("outputs", ev.list(&uses.outputs));
        }
        result.add(Symbol::intern(ev.host().store_dir().display(&path)), ev.attrs(attrs));
    }
    Ok(ev.attrs(result))
}

/// The `.drv` file that a reference leads to, through outputs whose paths are known.
fn built_derivation(ev: &Evaluator, reference: &DerivationRef) -> Result<StorePath> {
    let DerivationRef::Output { derivation, output } = reference else {
        return Ok(reference.file().clone());
    };
    let file = built_derivation(ev, derivation)?;
    let shown = || ev.host().store_dir().display(&file);
    let known = ev.host().read_derivation(&file)?;
    let made = known.outputs.get(output).ok_or_else(|| {
        EvalError::other(format!("derivation '{}' does not have an output named '{output}'", shown()))
    })?;
    let path = made
        .path(ev.host().store_dir(), &known.name, output)
        .map_err(|error| EvalError::other(error.to_string()))?;
    path.ok_or_else(|| {
        EvalError::other(format!(
            "cannot operate on output '{output}' of the unbuilt derivation '{}'",
            derivation.display(ev.host().store_dir())
        ))
    })
}

fn append_context(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument passed to builtins.appendContext";
    let string = ev.force_string(arguments[0], Pos::NONE, frame)?;
    let frame = "while evaluating the second argument passed to builtins.appendContext";
    let mut elements = Vec::new();
    for attr in ev.force_attrs(arguments[1], pos, frame)?.by_name() {
        let failed = |message: String| EvalError::new(ErrorKind::Context, message).at(attr.pos());
        let name = attr.name;
        let path = text(name.as_bytes()).ok().and_then(|name| ev.host().store_dir().parse(&name).ok());
        let path = path
            .ok_or_else(|| failed(format!("context key '{}' is not a store path", name.to_identifier())))?;
        if !ev.host().is_read_only() && !ev.host().ensure_path(&path)? {
            return Err(EvalError::new(ErrorKind::Host, format!("path '{}' is not valid", name.to_text())));
        }
        let uses =
            ev.force_attrs(attr.value, attr.pos(), "while evaluating the value of a string context")?;
        if let Some(flag) = uses.get_attr(Symbol::intern("path"))
            && ev.force_bool(
                flag.value,
                flag.pos(),
                "while evaluating the `path` attribute of a string context",
            )?
        {
            elements.push(ContextElement::Path(path.clone()));
        }
        if let Some(flag) = uses.get_attr(Symbol::intern("allOutputs"))
            && ev.force_bool(
                flag.value,
                flag.pos(),
                "while evaluating the `allOutputs` attribute of a string context",
            )?
        {
            if !path.is_derivation() {
                return Err(failed(format!(
                    "tried to add all-outputs context of \"{name}\", which is not a derivation, to a string"
                )));
            }
            elements.push(ContextElement::Closure(path.clone()));
        }
        if let Some(outputs) = uses.get_attr(Symbol::intern("outputs")) {
            let frame = "while evaluating the `outputs` attribute of a string context";
            let list = ev.force_list(outputs.value, outputs.pos(), frame)?;
            if !list.is_empty() && !path.is_derivation() {
                return Err(failed(format!(
                    "tried to add derivation output context of \"{name}\", which is not a derivation, to a string"
                )));
            }
            for output in list.iter() {
                let frame = "while evaluating an output name within a string context";
                let output = text(ev.force_plain_string(output, outputs.pos(), frame)?.bytes())?;
                elements
                    .push(ContextElement::Output { derivation: DerivationRef::File(path.clone()), output });
            }
        }
    }
    let context = string.context().union(elements.into_iter().collect());
    Ok(ev.string_with_context(string.bytes(), context))
}

fn discard_context(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the argument passed to builtins.unsafeDiscardStringContext";
    let string = ev.coerce_to_string(arguments[0], Coercion::Interpolation, pos, frame)?;
    Ok(if string.context().is_empty() { string.into() } else { ev.string(string.bytes()) })
}

fn discard_output_dependency(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the argument passed to builtins.unsafeDiscardOutputDependency";
    let string = ev.coerce_to_string(arguments[0], Coercion::Interpolation, pos, frame)?;
    let context = string.context().elements().into_iter().map(|element| match element {
        ContextElement::Closure(path) => ContextElement::Path(path.clone()),
        other => other.clone(),
    });
    Ok(ev.string_with_context(string.bytes(), context.collect()))
}

fn add_output_dependencies(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the argument passed to builtins.addDrvOutputDependencies";
    let string = ev.coerce_to_string(arguments[0], Coercion::Interpolation, pos, frame)?;
    let failed = |message: String| EvalError::new(ErrorKind::Context, message).at(pos);
    let elements = string.context().elements();
    let [element] = elements.as_slice() else {
        return Err(failed(format!(
            "context of string '{}' must have exactly one element, but has {}",
            string.to_text(),
            elements.len()
        )));
    };
    let path = match element {
        ContextElement::Closure(path) => path,
        ContextElement::Path(path) if path.is_derivation() => path,
        ContextElement::Path(path) => {
            let path = ev.host().store_dir().display(path);
            return Err(failed(format!("path '{path}' is not a derivation")));
        }
        ContextElement::Output { output, .. } => {
            return Err(failed(format!(
                "`addDrvOutputDependencies` can only act on derivations, not on a derivation output such as '{output}'"
            )));
        }
    };
    let context = Context::of(ContextElement::Closure(path.clone()));
    Ok(ev.string_with_context(string.bytes(), context))
}

fn output_of(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let frame = "while evaluating the first argument to builtins.outputOf";
    let string = ev.force_string(arguments[0], pos, frame)?;
    let shown = string.to_text();
    let failed = |message: String| EvalError::new(ErrorKind::Context, message).with_frame(frame, pos);
    let elements = string.context().elements();
    let [element] = elements.as_slice() else {
        return Err(failed(format!(
            "string '{shown}' has {} entries in its context. It should only have exactly one entry",
            elements.len()
        )));
    };
    let derivation = match element {
        ContextElement::Path(path) => {
            let expected = ev.host().store_dir().display(path);
            if shown != expected {
                return Err(failed(format!(
                    "path string '{shown}' has context with the different path '{expected}'"
                )));
            }
            DerivationRef::File(path.clone())
        }
        ContextElement::Closure(_) => {
            return Err(failed(format!(
                "string '{shown}' has a context which refers to a complete source and binary closure. This is not \
                 supported at this time"
            )));
        }
        ContextElement::Output { derivation, output } => {
            let expected = output_path(ev, derivation, output)?;
            if shown != expected {
                return Err(failed(format!(
                    "string '{shown}' has context with the output '{output}' from derivation '{}', but the string is not \
                     the right placeholder for this derivation output. It should be '{expected}'",
                    derivation.display(ev.host().store_dir())
                )));
            }
            if derivation.outputs().len() == DerivationRef::MAX_DEPTH {
                return Err(EvalError::other("dynamic derivations are nested too deeply").at(pos));
            }
            DerivationRef::Output { derivation: Box::new(derivation.clone()), output: output.clone() }
        }
    };
    let frame = "while evaluating the second argument to builtins.outputOf";
    let output = text(ev.force_plain_string(arguments[1], pos, frame)?.bytes())?;
    let path = output_path(ev, &derivation, &output)?;
    let element = ContextElement::Output { derivation, output };
    Ok(ev.string_with_context(path, Context::of(element)))
}

/// The path of an output of a derivation that is there, or what stands for it.
fn output_path(ev: &Evaluator, derivation: &DerivationRef, output: &str) -> Result<String> {
    let DerivationRef::File(file) = derivation else {
        return super::derivation::shown_output(ev, derivation, output, None);
    };
    let shown = ev.host().store_dir().display(file);
    if !ev.host().is_valid_path(file)? {
        return Err(EvalError::new(ErrorKind::Host, format!("derivation '{shown}' is not valid")));
    }
    let known = ev.host().read_derivation(file)?;
    let made = known
        .outputs
        .get(output)
        .ok_or_else(|| EvalError::other(format!("derivation '{shown}' does not have output '{output}'")))?;
    let path = made
        .path(ev.host().store_dir(), &known.name, output)
        .map_err(|error| EvalError::other(error.to_string()))?;
    super::derivation::shown_output(ev, derivation, output, path.as_ref())
}
