//! Reading of `flake.nix`: all but `outputs` must be plain values, that nothing has to be evaluated for.

use std::collections::BTreeMap;

use nival_formats::flake_ref::{FlakeRef, Paths};
use nival_formats::input::{AttrValue, InputAttrs, Wanted};
use nival_formats::lock_file::InputPath;
use nival_syntax::ast::AttrKind;
use nival_syntax::{Expr, ExprId, Pos, Symbol};

use super::Place;
use crate::builtins::{require_feature, warn};
use crate::compile::Unit;
use crate::error::{EvalError, InFrame, Result};
use crate::evaluator::{Evaluator, describe_type};
use crate::value::{Attr, Attrs, Value, View};

/// What a `flake.nix` says.
pub(super) struct Flake {
    /// Exactly what it is.
    pub(super) locked: FlakeRef,
    pub(super) place: Place,
    pub(super) inputs: FlakeInputs,
    /// How it wants to be fetched itself.
    pub(super) self_attrs: InputAttrs,
}

pub(super) type FlakeInputs = BTreeMap<String, FlakeInput>;

/// An input that a flake asks for.
#[derive(Clone)]
pub(super) struct FlakeInput {
    pub(super) reference: Option<FlakeRef>,
    pub(super) is_flake: bool,
    /// The input it is the same as, from the flake that locks are computed for.
    pub(super) follows: Option<InputPath>,
    /// What it wants its own inputs to be.
    pub(super) overrides: FlakeInputs,
}

impl Default for FlakeInput {
    fn default() -> FlakeInput {
        FlakeInput { reference: None, is_flake: true, follows: None, overrides: FlakeInputs::new() }
    }
}

/// Reads the `flake.nix` at a place. `lock_root` leads from the flake that locks are computed for to this one.
pub(super) fn read(ev: &Evaluator, resolved: &FlakeRef, place: Place, lock_root: &[String]) -> Result<Flake> {
    let file = place.folder(ev).join("flake.nix");
    ev.check_where_it_comes_from(&file)?;
    let unit = ev.parse_plain_file(&file)?;
    let value = ev.eval_file(&file)?;
    let root = Item { value, expr: Some(unit.ast.root()), pos: Pos::NONE, unit };
    let attrs = root.attrs(ev)?;
    let reader = Reader { ev, place: &place, lock_root };
    if let Some(description) = root.get(attrs, "description") {
        description.expect(ev, Type::String)?;
    }
    let (mut inputs, mut self_attrs) = (FlakeInputs::new(), InputAttrs::new());
    if let Some(declared) = root.get(attrs, "inputs") {
        inputs = reader.inputs(declared, Some(&mut self_attrs))?;
    }
    let Some(outputs) = root.get(attrs, "outputs") else {
        return Err(EvalError::other(format!("flake '{resolved}' lacks attribute 'outputs'")));
    };
    if let View::Lambda(lambda) = outputs.expect(ev, Type::Function)?.view() {
        let ast = &lambda.code().unit.ast;
        let formals = ast.lambda(lambda.code().id).formals;
        let mut formals: Vec<_> = formals.into_iter().flat_map(|formals| ast.formals(formals)).collect();
        formals.sort_unstable_by_key(|formal| formal.name);
        for formal in formals {
            let name = formal.name.to_text().into_owned();
            if name != "self" && !inputs.contains_key(&name) {
                let reference = Some(reader.parse_reference(&name, Paths::Absolute, true)?);
                inputs.insert(name, FlakeInput { reference, ..FlakeInput::default() });
            }
        }
    }
    if let Some(config) = root.get(attrs, "nixConfig") {
        check_config(ev, config)?;
    }
    for attr in attrs.by_name() {
        if !matches!(attr.name.as_bytes(), b"description" | b"inputs" | b"outputs" | b"nixConfig") {
            return Err(EvalError::other(format!(
                "flake '{resolved}' has an unsupported attribute '{}', at {}",
                attr.name,
                attr.pos().display()
            )));
        }
    }
    let locked = FlakeRef { input: place.tree.input.clone(), subdir: resolved.subdir.clone() };
    Ok(Flake { locked, place, inputs, self_attrs })
}

/// What a value of `flake.nix` has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Bool,
    String,
    Set,
    Function,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Type::Bool => "a Boolean",
            Type::String => "a string",
            Type::Set => "a set",
            Type::Function => "a function",
        }
    }

    fn is(self, value: Value) -> bool {
        match value.view() {
            View::Bool(_) => self == Type::Bool,
            View::String(_) => self == Type::String,
            View::Attrs(_) => self == Type::Set,
            View::Lambda(_) | View::Builtin(_) | View::Partial(_) => self == Type::Function,
            _ => false,
        }
    }
}

/// A value with the expression that it is written as, if that is known.
#[derive(Clone, Copy)]
struct Item {
    value: Value,
    expr: Option<ExprId>,
    pos: Pos,
    unit: &'static Unit,
}

impl Item {
    /// An attribute of this set.
    fn get(self, attrs: Attrs, name: &str) -> Option<Item> {
        Some(self.item(attrs.get_attr(Symbol::intern(name))?))
    }

    fn item(self, attr: Attr) -> Item {
        let set = self.expr.and_then(|expr| match self.unit.ast.expr(expr) {
            Expr::Set(set) => self.unit.ast.attrs(set).find(|written| written.name == attr.name),
            _ => None,
        });
        let expr = set.filter(|written| !matches!(written.kind, AttrKind::InheritedFrom(_)));
        Item { value: attr.value, expr: expr.map(|written| written.value), pos: attr.pos(), unit: self.unit }
    }

    /// Whether nothing has to be evaluated for it but the values of sets and lists.
    fn is_plain(self) -> bool {
        let Some(expr) = self.expr else { return false };
        let ast = &self.unit.ast;
        match ast.expr(expr) {
            Expr::Int(_)
            | Expr::Float(_)
            | Expr::String(_)
            | Expr::Path(_)
            | Expr::Var(_)
            | Expr::Lambda(_)
            | Expr::List(_) => true,
            Expr::Set(set) => ast.dynamic_attrs(set).next().is_none(),
            _ => false,
        }
    }

    /// Whether it is there without any evaluation.
    fn is_constant(self) -> bool {
        self.is_plain()
            && self.expr.is_some_and(|expr| match self.unit.ast.expr(expr) {
                Expr::Lambda(_) | Expr::Set(_) => false,
                Expr::List(elements) => elements.is_empty(),
                _ => true,
            })
    }

    /// The value, if it is plain.
    fn plain(self, ev: &Evaluator) -> Result<Option<Value>> {
        if self.is_plain() { Ok(Some(ev.force(self.value, self.pos)?)) } else { Ok(None) }
    }

    fn expect(self, ev: &Evaluator, wanted: Type) -> Result<Value> {
        let value = self.plain(ev)?;
        value.filter(|value| wanted.is(*value)).ok_or_else(|| {
            EvalError::other(format!(
                "expected {} but got {} at {}",
                wanted.name(),
                value.map_or("a thunk", type_name),
                self.pos.display()
            ))
        })
    }

    fn attrs(self, ev: &Evaluator) -> Result<Attrs> {
        ev.force_attrs(self.expect(ev, Type::Set)?, self.pos, "")
    }

    fn string(self, ev: &Evaluator) -> Result<String> {
        text(self.expect(ev, Type::String)?)
    }
}

fn type_name(value: Value) -> &'static str {
    match value.view() {
        View::Thunk => "a thunk",
        View::Null => "null",
        View::Bool(_) => "a Boolean",
        View::Int(_) => "an integer",
        View::Float(_) => "a float",
        View::String(_) => "a string",
        View::Path(_) => "a path",
        View::List(_) => "a list",
        View::Attrs(_) => "a set",
        View::Lambda(_) | View::Builtin(_) | View::Partial(_) => "a function",
    }
}

fn text(value: Value) -> Result<String> {
    crate::builtins::text(value.as_str().map_or(&[][..], |string| string.bytes()))
}

struct Reader<'a> {
    ev: &'a Evaluator,
    place: &'a Place,
    lock_root: &'a [String],
}

impl Reader<'_> {
    /// The inputs in a set; `self` may be among those of the flake itself.
    fn inputs(&self, inputs: Item, mut self_attrs: Option<&mut InputAttrs>) -> Result<FlakeInputs> {
        let mut result = FlakeInputs::new();
        for attr in inputs.attrs(self.ev)? {
            let input = inputs.item(attr);
            let name = attr.name.to_text().into_owned();
            if name != "self" {
                result.insert(name, self.input(input)?);
                continue;
            }
            let Some(self_attrs) = self_attrs.as_deref_mut() else {
                let message = format!("'self' input attribute not allowed at {}", attr.pos().display());
                return Err(EvalError::other(message));
            };
            for attr in input.attrs(self.ev)? {
                self.source_attr(input.item(attr), &attr.name.to_text(), self_attrs)?;
            }
        }
        Ok(result)
    }

    fn input(&self, item: Item) -> Result<FlakeInput> {
        let mut input = FlakeInput::default();
        let (mut source, mut url) = (InputAttrs::new(), None);
        for attr in item.attrs(self.ev)? {
            let name = attr.name.to_text().into_owned();
            let item = item.item(attr);
            let taken = match name.as_str() {
                "url" => self.url(item).map(|text| url = Some(text)),
                "flake" => {
                    item.expect(self.ev, Type::Bool).map(|value| input.is_flake = value == Value::TRUE)
                }
                "inputs" => self.inputs(item, None).map(|overrides| input.overrides = overrides),
                "follows" => item
                    .string(self.ev)
                    .and_then(|path| self.input_path(&path))
                    .map(|path| input.follows = Some(path)),
                _ => self.source_attr(item, &name, &mut source),
            };
            taken.frame_with(|| format!("while evaluating flake attribute '{name}'"), attr.pos())?;
        }
        let place = || item.pos.display();
        if source.contains_key("type") {
            source.extend(url.map(|url| ("url".to_owned(), url.into())));
            let features = |name: &str| self.ev.settings().has_feature(name);
            let reference = FlakeRef::from_attrs(source, &features).map_err(EvalError::from);
            input.reference = Some(reference.frame("while evaluating flake input", item.pos)?);
        } else if let Some(name) = source.keys().next() {
            return Err(EvalError::other(format!(
                "unexpected flake input attribute '{name}', at {}",
                place()
            )));
        } else if let Some(url) = url {
            input.reference = Some(self.parse_reference(&url, Paths::Relative, input.is_flake)?);
        }
        if input.reference.is_some() && input.follows.is_some() {
            return Err(EvalError::other(format!(
                "flake input has both a flake reference and a follows attribute, at {}",
                place()
            )));
        }
        Ok(input)
    }

    /// The URL of an input; a path is taken relative to the flake.
    fn url(&self, item: Item) -> Result<String> {
        let value = item.plain(self.ev)?;
        match value.map(Value::view) {
            Some(View::String(string)) => crate::builtins::text(string.bytes()),
            Some(View::Path(path)) => {
                let path = crate::path::to_path_buf(path.bytes());
                Ok(format!("path:{}", relative(&self.place.folder(self.ev), &path)))
            }
            _ => Err(EvalError::other(format!(
                "expected a string or a path but got {} at {}",
                value.map_or("a thunk", type_name),
                item.pos.display()
            ))),
        }
    }

    fn source_attr(&self, item: Item, name: &str, attrs: &mut InputAttrs) -> Result<()> {
        let value = if item.is_constant() { item.plain(self.ev)? } else { None };
        let value = match value.map(Value::view) {
            Some(View::String(string)) => AttrValue::Text(crate::builtins::text(string.bytes())?),
            Some(View::Bool(value)) => AttrValue::Bool(value),
            Some(View::Int(value)) => AttrValue::Int(u64::try_from(value).map_err(|_| {
                EvalError::other(format!("negative value given for flake input attribute {name}: {value}"))
            })?),
            _ if name == "publicKeys" => {
                require_feature(self.ev, "verified-fetches")?;
                AttrValue::Text(crate::builtins::text(&self.ev.to_json(item.value, true)?)?)
            }
            _ => {
                let kind = value.map_or_else(|| "a thunk".to_owned(), describe_type);
                return Err(EvalError::of_type(format!(
                    "flake input attribute '{name}' is {kind} while a string, Boolean, or integer is expected"
                )));
            }
        };
        attrs.insert(name.to_owned(), value);
        Ok(())
    }

    /// `a/b` as a way from the flake that locks are computed for.
    fn input_path(&self, text: &str) -> Result<InputPath> {
        let mut path = self.lock_root.to_vec();
        for name in text.split('/').filter(|name| !name.is_empty()) {
            let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            if !is_name {
                return Err(EvalError::other(format!("invalid flake input attribute path element '{name}'")));
            }
            path.push(name.to_owned());
        }
        Ok(path)
    }

    fn parse_reference(&self, text: &str, paths: Paths, is_flake: bool) -> Result<FlakeRef> {
        let features = |name: &str| self.ev.settings().has_feature(name);
        let wanted = if is_flake { Wanted::Tree } else { Wanted::Any };
        let parsed = FlakeRef::parse(text, paths, wanted, &features)?;
        warn(self.ev, &parsed.warnings)?;
        Ok(parsed.flake)
    }
}

/// The way from a folder to a path.
fn relative(folder: &std::path::Path, path: &std::path::Path) -> String {
    let folder: Vec<_> = folder.components().collect();
    let path: Vec<_> = path.components().collect();
    let common = folder.iter().zip(&path).take_while(|(left, right)| left == right).count();
    let up = std::iter::repeat_n("..".into(), folder.len() - common);
    let down = path[common..].iter().map(|part| part.as_os_str().to_string_lossy());
    let parts: Vec<std::borrow::Cow<'_, str>> = up.chain(down).collect();
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

/// Checks the settings that a flake asks for.
fn check_config(ev: &Evaluator, config: Item) -> Result<()> {
    for attr in config.attrs(ev)? {
        let name = attr.name;
        let Some(value) = config.item(attr).plain(ev)? else {
            return Err(EvalError::of_type(format!("flake configuration setting '{name}' is a thunk")));
        };
        match value.view() {
            View::String(_) => drop(ev.force_plain_string(value, attr.pos(), "")?),
            View::Path(_) | View::Int(_) | View::Bool(_) => {}
            View::List(list) => {
                for element in list.iter() {
                    if element.as_str().is_none() {
                        return Err(EvalError::of_type(format!(
                            "list element in flake configuration setting '{name}' is {} while a string is expected",
                            describe_type(value)
                        )));
                    }
                }
            }
            _ => {
                let kind = describe_type(value);
                return Err(EvalError::of_type(format!("flake configuration setting '{name}' is {kind}")));
            }
        }
    }
    Ok(())
}
