//! Showing values: as `nix eval` and the REPL do, and as `nix-instantiate --eval` does.

use std::collections::HashSet;

use nival_syntax::{Pos, Symbol, print};

use crate::Result;
use crate::error::{ErrorKind, EvalError};
use crate::evaluator::Evaluator;
use crate::value::{Attr, Attrs, Builtin, List, Value, View};

/// How a value is printed.
#[derive(Clone, Debug)]
pub struct PrintOptions {
    /// Evaluates what is in the value, instead of showing `«thunk»`.
    pub force: bool,
    /// Shows derivations as `«derivation /nix/store/…»`.
    pub derivation_paths: bool,
    /// How deep to go.
    pub max_depth: usize,
    /// How many attributes to show in all.
    pub max_attrs: usize,
    /// How many list elements to show in all.
    pub max_list_items: usize,
    /// How many bytes of a string to show.
    pub max_string_length: usize,
    /// The number of spaces by which lines are indented; 0 for a single line.
    pub indent: usize,
    /// What to do with errors on the way.
    pub errors: PrintErrors,
    /// Whether values are coloured for a terminal.
    pub colours: bool,
}

/// What becomes of an error while a value is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrintErrors {
    /// It is shown in place: `«error: …»`.
    Show,
    /// It ends the printing.
    Fail,
    /// It ends the printing if the value itself fails, and is shown in place further in.
    FailAtTop,
}

impl Default for PrintOptions {
    fn default() -> PrintOptions {
        PrintOptions {
            force: false,
            derivation_paths: false,
            max_depth: usize::MAX,
            max_attrs: usize::MAX,
            max_list_items: usize::MAX,
            max_string_length: usize::MAX,
            indent: 0,
            errors: PrintErrors::Show,
            colours: false,
        }
    }
}

impl Evaluator {
    /// Shows a value as `nix eval` does.
    pub fn print(&self, value: Value, options: &PrintOptions) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.print_into(&mut out, value, options)?;
        Ok(out)
    }

    /// The same, where what was shown before an error is kept.
    pub fn print_into(&self, out: &mut Vec<u8>, value: Value, options: &PrintOptions) -> Result<()> {
        let mut printer = Printer {
            ev: self,
            options,
            out,
            seen: HashSet::new(),
            attrs_printed: 0,
            items_printed: 0,
            indent: 0,
        };
        printer.value(value, 0)
    }

    /// Shows a value in a message: not too much of it, and evaluating nothing.
    pub(crate) fn print_for_error(&self, value: Value) -> String {
        let options = PrintOptions {
            max_depth: 10,
            max_attrs: 10,
            max_list_items: 10,
            max_string_length: 1024,
            ..PrintOptions::default()
        };
        let printed = self.print(value, &options).unwrap_or_default();
        nival_syntax::raw_text(&printed).into_owned()
    }

    /// Shows a value as `nix-instantiate --eval` does: nothing is evaluated.
    pub fn print_ambiguous(&self, value: Value) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.ambiguous(value, &mut out, &mut HashSet::new(), 0)?;
        Ok(out)
    }

    fn ambiguous(
        &self,
        value: Value,
        out: &mut Vec<u8>,
        seen: &mut HashSet<Value>,
        depth: usize,
    ) -> Result<()> {
        if depth > self.settings().max_call_depth as usize {
            return Err(too_deep());
        }
        match value.view() {
            View::Attrs(attrs) => {
                if !attrs.is_empty() && !seen.insert(Value::from(attrs)) {
                    out.extend_from_slice("«repeated»".as_bytes());
                    return Ok(());
                }
                out.extend_from_slice(b"{ ");
                for attr in attrs.by_name() {
                    print::identifier(out, attr.name.as_bytes());
                    out.extend_from_slice(b" = ");
                    self.ambiguous(attr.value, out, seen, depth + 1)?;
                    out.extend_from_slice(b"; ");
                }
                out.push(b'}');
            }
            View::List(list) => {
                if depth > 0 && !list.is_empty() && !seen.insert(value.settled()) {
                    out.extend_from_slice("«repeated»".as_bytes());
                    return Ok(());
                }
                out.extend_from_slice(b"[ ");
                for element in list.iter() {
                    self.ambiguous(element, out, seen, depth + 1)?;
                    out.push(b' ');
                }
                out.push(b']');
            }
            View::Thunk if crate::value::is_being_evaluated(value) => {
                out.extend_from_slice("«potential infinite recursion»".as_bytes());
            }
            View::Thunk => out.extend_from_slice(b"<CODE>"),
            View::Lambda(lambda) if depth > 0 && !lambda.code().is_seen() => out.extend_from_slice(b"<CODE>"),
            View::Lambda(_) => out.extend_from_slice(b"<LAMBDA>"),
            View::Builtin(_) => out.extend_from_slice(b"<PRIMOP>"),
            View::Partial(_) => out.extend_from_slice(b"<PRIMOP-APP>"),
            _ => write_simple(value, usize::MAX, out),
        }
        Ok(())
    }
}

// The colours of the reference (ansicolor.hh).
const NORMAL: &str = "\x1b[0m";
const FAINT: &str = "\x1b[2m";
const RED: &str = "\x1b[31;1m";
const GREEN: &str = "\x1b[32;1m";
const BLUE: &str = "\x1b[34;1m";
const MAGENTA: &str = "\x1b[35;1m";
const CYAN: &str = "\x1b[36;1m";

struct Printer<'a> {
    ev: &'a Evaluator,
    options: &'a PrintOptions,
    out: &'a mut Vec<u8>,
    seen: HashSet<Value>,
    attrs_printed: usize,
    items_printed: usize,
    indent: usize,
}

impl Printer<'_> {
    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn coloured(&mut self, colour: &str, text: &str) {
        self.in_colour(colour, |out| out.extend_from_slice(text.as_bytes()));
    }

    fn in_colour(&mut self, colour: &str, write: impl FnOnce(&mut Vec<u8>)) {
        if self.options.colours {
            self.text(colour);
        }
        write(self.out);
        if self.options.colours {
            self.text(NORMAL);
        }
    }

    fn space(&mut self, on_lines: bool) {
        if on_lines {
            self.out.push(b'\n');
            self.out.resize(self.out.len() + self.indent, b' ');
        } else {
            self.out.push(b' ');
        }
    }

    fn value(&mut self, value: Value, depth: usize) -> Result<()> {
        if depth > self.ev.settings().max_call_depth as usize {
            return Err(too_deep());
        }
        self.ev.check_stack(Pos::NONE)?;
        let Err(error) = self.try_value(value, depth) else { return Ok(()) };
        let fails = match self.options.errors {
            PrintErrors::Fail => true,
            PrintErrors::FailAtTop => depth == 0,
            PrintErrors::Show => false,
        };
        if fails || matches!(error.kind(), ErrorKind::StackOverflow | ErrorKind::Interrupted) {
            return Err(error);
        }
        self.coloured(RED, &format!("«error: {}»", error.message()));
        Ok(())
    }

    fn try_value(&mut self, value: Value, depth: usize) -> Result<()> {
        let value = if self.options.force { self.ev.force(value, Pos::NONE)? } else { value.settled() };
        match value.view() {
            View::Attrs(attrs) => return self.attrs(attrs, depth),
            View::List(list) => return self.list(list, value, depth),
            View::Lambda(lambda) if depth > 0 && !self.options.force && !lambda.code().is_seen() => {
                self.text("«thunk»");
            }
            View::Lambda(lambda) => {
                let code = lambda.code();
                let name = code.name.map_or_else(String::new, |name| format!(" {name}"));
                self.coloured(BLUE, &format!("«lambda{name} @ {}»", code.pos.display()));
            }
            View::Builtin(builtin) => self.coloured(BLUE, &format!("«{}»", describe_builtin(builtin))),
            View::Partial(partial) => {
                let text = format!("«partially applied {}»", describe_builtin(partial.builtin()));
                self.coloured(BLUE, &text);
            }
            View::Thunk if crate::value::is_being_evaluated(value) => {
                self.coloured(RED, "«potential infinite recursion»");
            }
            View::Thunk => self.coloured(MAGENTA, "«thunk»"),
            simple => {
                let colour = match simple {
                    View::String(_) => MAGENTA,
                    View::Path(_) => GREEN,
                    _ => CYAN,
                };
                let length = self.options.max_string_length;
                self.in_colour(colour, |out| write_simple(value, length, out));
            }
        }
        Ok(())
    }

    fn elided(&mut self, count: usize, one: &str, many: &str) {
        self.coloured(FAINT, &format!("«{count} {} elided»", if count == 1 { one } else { many }));
    }

    fn attrs(&mut self, attrs: Attrs, depth: usize) -> Result<()> {
        // All empty sets are one in the reference.
        let identity = if attrs.is_empty() { Value::NULL } else { attrs.into() };
        if !self.seen.insert(identity) {
            self.coloured(MAGENTA, "«repeated»");
            return Ok(());
        }
        if self.options.force && self.options.derivation_paths && self.ev.is_derivation(attrs.into())? {
            return self.derivation(attrs);
        }
        if depth >= self.options.max_depth {
            self.text("{ ... }");
            return Ok(());
        }
        let mut sorted: Vec<_> = attrs.by_name().collect();
        if self.options.max_attrs != usize::MAX {
            sorted.sort_by_key(|attr| !is_important(attr));
        }
        self.indent += self.options.indent;
        self.out.push(b'{');
        let on_lines = self.on_lines(sorted.len(), sorted.first().map(|attr| attr.value))?;
        for (printed, attr) in sorted.iter().enumerate() {
            self.space(on_lines);
            if self.attrs_printed >= self.options.max_attrs {
                self.elided(sorted.len() - printed, "attribute", "attributes");
                break;
            }
            print::identifier(self.out, attr.name.as_bytes());
            self.text(" = ");
            self.value(attr.value, depth + 1)?;
            self.out.push(b';');
            self.attrs_printed += 1;
        }
        self.indent -= self.options.indent;
        self.space(on_lines);
        self.out.push(b'}');
        Ok(())
    }

    fn derivation(&mut self, attrs: Attrs) -> Result<()> {
        let mut text = "«derivation".to_owned();
        if let Some(path) = attrs.get_attr(Symbol::DRV_PATH) {
            let mut context = crate::context::Context::EMPTY;
            let frame = "while evaluating the drvPath of a derivation";
            let path = self.ev.coerce_to_store_path(path.value, &mut context, path.pos(), frame)?;
            text.push(' ');
            text.push_str(&self.ev.host().store_dir().display(&path));
        }
        text.push('»');
        self.coloured(GREEN, &text);
        Ok(())
    }

    /// A list counts as repeated where the same element is met again, not the same list.
    fn list(&mut self, list: List, element: Value, depth: usize) -> Result<()> {
        if depth > 0 && !list.is_empty() && !self.seen.insert(element) {
            self.coloured(MAGENTA, "«repeated»");
            return Ok(());
        }
        if depth >= self.options.max_depth {
            self.text("[ ... ]");
            return Ok(());
        }
        self.indent += self.options.indent;
        self.out.push(b'[');
        let on_lines = self.on_lines(list.len(), list.get(0))?;
        for (printed, element) in list.iter().enumerate() {
            self.space(on_lines);
            if self.items_printed >= self.options.max_list_items {
                self.elided(list.len() - printed, "item", "items");
                break;
            }
            self.value(element, depth + 1)?;
            self.items_printed += 1;
        }
        self.indent -= self.options.indent;
        self.space(on_lines);
        self.out.push(b']');
        Ok(())
    }

    /// Whether the parts stand on lines of their own: several do, and one that has parts itself.
    fn on_lines(&mut self, length: usize, first: Option<Value>) -> Result<bool> {
        let Some(first) = first.filter(|_| self.options.indent > 0) else { return Ok(false) };
        if length > 1 {
            return Ok(true);
        }
        let first = self.ev.force(first, Pos::NONE)?;
        Ok(matches!(first.view(), View::Attrs(_) | View::List(_)))
    }
}

#[cold]
fn too_deep() -> EvalError {
    EvalError::new(ErrorKind::StackOverflow, "stack overflow; max-call-depth exceeded")
}

fn is_important(attr: &Attr) -> bool {
    matches!(attr.name.as_bytes(), b"type" | b"_type")
}

fn describe_builtin(builtin: &Builtin) -> String {
    format!("primop {}", builtin.name)
}

fn write_simple(value: Value, max_string_length: usize, out: &mut Vec<u8>) {
    match value.view() {
        View::Null => out.extend_from_slice(b"null"),
        View::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        View::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
        View::Float(value) => out.extend_from_slice(print::float(value).as_bytes()),
        View::Path(path) => out.extend_from_slice(&crate::path::shown(path.bytes())),
        View::String(string) => write_string(string.bytes(), max_string_length, out),
        _ => {}
    }
}

/// A string as a literal of the language, cut off after some bytes.
fn write_string(bytes: &[u8], max_length: usize, out: &mut Vec<u8>) {
    if bytes.len() <= max_length {
        return print::string(out, bytes);
    }
    print::string(out, &bytes[..max_length]);
    let left = bytes.len() - max_length;
    let unit = if left == 1 { "byte" } else { "bytes" };
    out.extend_from_slice(format!(" «{left} {unit} elided»").as_bytes());
}
