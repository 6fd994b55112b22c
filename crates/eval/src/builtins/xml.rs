//! `toXML`. The elements are those of C++ Nix's `value-to-xml.cc`.

use std::collections::HashSet;

use nival_syntax::{Pos, Symbol, print};

use crate::context::Context;
use crate::error::Result;
use crate::evaluator::Evaluator;
use crate::value::{Attrs, Builtin, Lambda, Value, View};

pub(super) static FUNCTIONS: &[Builtin] = &[Builtin {
    name: "toXML",
    arguments: &["e"],
    doc: "A value as XML text. Functions show their arguments, and a derivation that comes again is only named.",
    global: false,
    internal: false,
    feature: None,
    traced: true,
    run: to_xml,
}];

fn to_xml(ev: &Evaluator, arguments: &[Value], pos: Pos) -> Result<Value> {
    let (text, context) = write(ev, arguments[0], true, false, pos)?;
    Ok(ev.string_with_context(text, context))
}

fn write(ev: &Evaluator, value: Value, strict: bool, places: bool, pos: Pos) -> Result<(Vec<u8>, Context)> {
    let mut writer = writer(ev, strict, places);
    writer.value(value, pos)?;
    writer.close();
    Ok((writer.out, writer.context))
}

fn writer(ev: &Evaluator, strict: bool, places: bool) -> Writer<'_> {
    let mut writer = Writer {
        ev,
        strict,
        is_nested: false,
        places,
        out: b"<?xml version='1.0' encoding='utf-8'?>\n".to_vec(),
        open: Vec::new(),
        context: Context::EMPTY,
        seen: HashSet::new(),
    };
    writer.open("expr", &[]);
    writer
}

impl Evaluator {
    /// Writes a value as XML. Unless `strict`, what isn't evaluated yet is shown as such; with `places`, attributes
    /// and functions say where they are written. What is written up to an error is closed and said, too.
    pub fn to_xml(&self, value: Value, strict: bool, places: bool, say: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut writer = writer(self, strict, places);
        let written = writer.value(value, Pos::NONE);
        while !writer.open.is_empty() {
            writer.close();
        }
        say(&writer.out);
        written
    }
}

struct Writer<'a> {
    ev: &'a Evaluator,
    /// Whether to evaluate what is in the value.
    strict: bool,
    /// Whether the outermost value was met already.
    is_nested: bool,
    /// Whether to say where attributes and functions are written.
    places: bool,
    out: Vec<u8>,
    /// The elements that aren't closed yet.
    open: Vec<&'static str>,
    context: Context,
    /// The derivations shown so far.
    seen: HashSet<&'static [u8]>,
}

impl Writer<'_> {
    fn value(&mut self, value: Value, pos: Pos) -> Result<()> {
        let ev = self.ev;
        let _depth = ev.enter(pos)?;
        let value = self.forced(value, pos)?;
        let is_nested = std::mem::replace(&mut self.is_nested, true);
        match value.view() {
            View::Null => self.empty("null", &[]),
            View::Bool(value) => self.empty("bool", &[("value", if value { b"true" } else { b"false" })]),
            View::Int(value) => self.empty("int", &[("value", value.to_string().as_bytes())]),
            View::Float(value) => self.empty("float", &[("value", print::float(value).as_bytes())]),
            View::String(string) => {
                self.context = self.context.union(string.context());
                self.empty("string", &[("value", string.bytes())]);
            }
            View::Path(path) => self.empty("path", &[("value", &crate::path::shown(path.bytes()))]),
            View::List(list) => {
                self.open("list", &[]);
                for element in list.iter() {
                    self.value(element, pos)?;
                }
                self.close();
            }
            View::Attrs(attrs) if ev.is_derivation(value)? => self.derivation(attrs)?,
            View::Attrs(attrs) => {
                self.open("attrs", &[]);
                self.attrs(attrs)?;
                self.close();
            }
            // The reference makes functions when they are asked for, and here nobody did.
            View::Lambda(lambda) if is_nested && !self.strict && !lambda.code().is_seen() => {
                self.empty("unevaluated", &[]);
            }
            View::Lambda(lambda) => self.function(lambda),
            View::Builtin(_) | View::Partial(_) | View::Thunk => self.empty("unevaluated", &[]),
        }
        Ok(())
    }

    fn forced(&self, value: Value, pos: Pos) -> Result<Value> {
        if self.strict { self.ev.force_job(value, pos) } else { Ok(value) }
    }

    /// Where something is written, as attributes of an element in order.
    fn place(&self, pos: Pos) -> Vec<(&'static str, String)> {
        let Some(place) = pos.resolve().filter(|_| self.places) else { return Vec::new() };
        let mut shown = vec![("column", place.column.to_string()), ("line", place.line.to_string())];
        if let Some(path) = place.source.origin().path() {
            shown.push(("path", path.strip_prefix("«nix-internal»").unwrap_or(path).to_owned()));
        }
        shown
    }

    fn attrs(&mut self, attrs: Attrs) -> Result<()> {
        for attr in attrs.by_name() {
            let place = self.place(attr.pos());
            let mut shown: Vec<(&str, &[u8])> =
                place.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
            shown.push(("name", attr.name.as_bytes()));
            // The reference keeps them in a sorted map.
            shown.sort_unstable();
            self.open("attr", &shown);
            self.value(attr.value, attr.pos())?;
            self.close();
        }
        Ok(())
    }

    fn derivation(&mut self, attrs: Attrs) -> Result<()> {
        let drv_path = self.path_of(attrs, Symbol::intern("drvPath"))?;
        let out_path = self.path_of(attrs, Symbol::OUT_PATH)?;
        let shown = [("drvPath", drv_path), ("outPath", out_path)];
        let shown = shown.into_iter().filter_map(|(name, path)| Some((name, path?)));
        self.open("derivation", &shown.collect::<Vec<_>>());
        match drv_path {
            Some(path) if !path.is_empty() && self.seen.insert(path) => self.attrs(attrs)?,
            _ => self.empty("repeated", &[]),
        }
        self.close();
        Ok(())
    }

    fn path_of(&self, attrs: Attrs, name: Symbol) -> Result<Option<&'static [u8]>> {
        let Some(attr) = attrs.get_attr(name) else { return Ok(None) };
        Ok(self.forced(attr.value, attr.pos())?.as_str().map(crate::value::Str::bytes))
    }

    fn function(&mut self, lambda: Lambda) {
        let code = lambda.code();
        let place = self.place(code.pos);
        let shown: Vec<(&str, &[u8])> = place.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
        self.open("function", &shown);
        let argument = code.unit.ast.lambda(code.id).argument;
        let mut shown: Vec<(&'static str, &[u8])> = Vec::new();
        if let Some(formals) = self.ev.function_arguments(lambda) {
            if code.binder(self.ev).ellipsis {
                shown.push(("ellipsis", b"1"));
            }
            shown.extend(argument.map(|name| ("name", name.as_bytes())));
            self.open("attrspat", &shown);
            let mut names: Vec<_> = formals.iter().map(|(attr, _)| attr.name.as_bytes()).collect();
            names.sort_unstable();
            for name in names {
                self.empty("attr", &[("name", name)]);
            }
            self.close();
        } else {
            shown.extend(argument.map(|name| ("name", name.as_bytes())));
            self.empty("varpat", &shown);
        }
        self.close();
    }

    fn open(&mut self, name: &'static str, attributes: &[(&str, &[u8])]) {
        self.tag(name, attributes);
        self.out.extend_from_slice(b">\n");
        self.open.push(name);
    }

    fn empty(&mut self, name: &str, attributes: &[(&str, &[u8])]) {
        self.tag(name, attributes);
        self.out.extend_from_slice(b" />\n");
    }

    fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.indent();
            self.out.extend_from_slice(format!("</{name}>\n").as_bytes());
        }
    }

    fn indent(&mut self) {
        self.out.resize(self.out.len() + 2 * self.open.len(), b' ');
    }

    fn tag(&mut self, name: &str, attributes: &[(&str, &[u8])]) {
        self.indent();
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
        for (name, value) in attributes {
            self.out.extend_from_slice(format!(" {name}=\"").as_bytes());
            for byte in *value {
                match byte {
                    b'"' => self.out.extend_from_slice(b"&quot;"),
                    b'<' => self.out.extend_from_slice(b"&lt;"),
                    b'>' => self.out.extend_from_slice(b"&gt;"),
                    b'&' => self.out.extend_from_slice(b"&amp;"),
                    b'\n' => self.out.extend_from_slice(b"&#xA;"),
                    byte => self.out.push(*byte),
                }
            }
            self.out.push(b'"');
        }
    }
}
