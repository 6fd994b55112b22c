//! Evaluation line by line, with variables that the lines before have defined: what a REPL needs.

use std::collections::BTreeMap;

use nival_syntax::{
    Ast, NoBindings, Origin, ParseOptions, Pos, Source, Symbol, doc_comment_before, parse, parse_bindings,
};

use crate::compile::{Scope, Unit};
use crate::error::{EvalError, InFrame, Result};
use crate::evaluator::{Env, Evaluator};
use crate::value::{Attrs, Value, View};

/// Variables that text sees besides the built-in ones.
#[derive(Default, Clone)]
pub struct Variables(BTreeMap<Symbol, Value>);

impl Variables {
    /// Defines a variable, or defines it anew.
    pub fn set(&mut self, name: Symbol, value: Value) {
        self.0.insert(name, value);
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = Symbol> {
        self.0.keys().copied()
    }
}

/// What a line is.
pub enum Line {
    /// New variables: their values are evaluated when they are asked for.
    Bindings(Attrs),
    /// A value.
    Value(Value),
    /// The beginning of something: more has to be read.
    Incomplete,
}

/// What is said of a value.
pub struct Documentation {
    /// The name of a built-in function and its arguments.
    pub synopsis: Option<(&'static str, &'static [&'static str])>,
    /// The text, in Markdown.
    pub text: String,
}

impl Evaluator {
    /// Evaluates a line: bindings such as `a = 1`, or an expression.
    pub fn eval_line(&self, variables: &Variables, text: &str, base: &str) -> Result<Line> {
        let source = add_source(text)?;
        match parse_bindings(source, &self.parse_options(base)) {
            Ok(ast) => {
                let value = self.eval_ast(source, &ast, variables)?;
                let attrs = value.as_attrs().ok_or_else(|| EvalError::other("bindings are no set"))?;
                Ok(Line::Bindings(attrs))
            }
            Err(NoBindings::Incomplete) => Ok(Line::Incomplete),
            Err(NoBindings::Other) => {
                Ok(self.eval_expression(variables, text, base)?.map_or(Line::Incomplete, Line::Value))
            }
        }
    }

    /// Evaluates an expression; nothing if it is only the beginning of one.
    pub fn eval_expression(&self, variables: &Variables, text: &str, base: &str) -> Result<Option<Value>> {
        let source = add_source(text)?;
        match parse(source, &self.parse_options(base)) {
            Ok(ast) => self.eval_ast(source, &ast, variables).map(Some),
            Err(error) if error.message.contains("unexpected end of file") => Ok(None),
            Err(error) => Err(EvalError::syntax(*error)),
        }
    }

    fn eval_ast(&self, source: &'static Source, ast: &Ast<'static>, variables: &Variables) -> Result<Value> {
        let unit = Unit::resolve(self, source, ast, &Scope::of_names(variables.names()))?;
        let env = Env::escaped(&self.heap, Env::ROOT, variables.0.len() as u32);
        for (index, value) in (0..).zip(variables.0.values()) {
            env.set(index, *value);
        }
        unit.run(self, env)
    }

    /// All names that are there without any scope.
    pub fn global_names(&self) -> impl Iterator<Item = Symbol> {
        self.globals().names.keys().copied()
    }

    /// What is known of the value of an expression; nothing if nothing is.
    pub fn document(&self, variables: &Variables, text: &str, base: &str) -> Result<Option<Documentation>> {
        let mut attribute = None;
        let source = add_source(text)?;
        let parsed = parse(source, &self.parse_options(base));
        if let Some((set, name)) = parsed.ok().and_then(Ast::before_last_name) {
            let set = self.eval_ast(source, &set, variables)?;
            let frame = "while evaluating an attribute set to look for documentation";
            attribute = self.force_attrs(set, Pos::NONE, frame)?.get_attr(name);
        }
        let Some(value) = self.eval_expression(variables, text, base)? else { return Ok(None) };
        let known = self.documentation_of(value)?;
        if known.is_some() {
            return Ok(known);
        }
        let Some(attribute) = attribute.filter(|attribute| !attribute.pos().is_none()) else {
            return Ok(None);
        };
        let pos = attribute.pos();
        let comment = doc_comment_before(pos, &self.parse_options("/"))
            .unwrap_or_else(|| "No documentation found.\n\n".to_owned());
        let text = format!("Attribute `{}`\n\n  … defined at {}\n\n{comment}", attribute.name, pos.display());
        Ok(Some(Documentation { synopsis: None, text }))
    }

    fn documentation_of(&self, value: Value) -> Result<Option<Documentation>> {
        let value = self.force(value, Pos::NONE)?;
        match value.view() {
            View::Builtin(builtin) => Ok(Some(Documentation {
                synopsis: Some((builtin.name, builtin.arguments)),
                text: builtin.doc.to_owned(),
            })),
            View::Lambda(lambda) => {
                let code = lambda.code();
                let mut text = match code.name {
                    Some(name) => format!("Function `{name}`\\\n  … "),
                    None => "Function ".to_owned(),
                };
                text.push_str("defined at ");
                text.push_str(&code.pos.display());
                let comment = code.unit.ast.lambda(code.id).doc.and_then(|doc| doc.text());
                if let Some(comment) = comment.filter(|comment| !comment.is_empty()) {
                    text.push_str("\n\n");
                    text.push_str(&comment);
                }
                Ok(Some(Documentation { synopsis: None, text }))
            }
            View::Attrs(attrs) => {
                let Some(functor) = attrs.get(Symbol::FUNCTOR) else { return Ok(None) };
                // The first argument is the set itself, and the function behind it is what is meant.
                self.call(functor, &[value], Pos::NONE)
                    .and_then(|function| {
                        let _depth = self.enter(Pos::NONE)?;
                        self.documentation_of(function)
                    })
                    .frame("while partially calling '__functor' to retrieve documentation", Pos::NONE)
            }
            _ => Ok(None),
        }
    }

    fn parse_options<'a>(&'a self, base: &'a str) -> ParseOptions<'a> {
        let settings = self.settings();
        ParseOptions {
            base_path: base,
            home: settings.home.as_deref(),
            pipe_operators: settings.has_feature("pipe-operators"),
            max_depth: self.max_nesting(),
        }
    }
}

fn add_source(text: &str) -> Result<&'static Source> {
    Source::add(Origin::String, text).map_err(|error| EvalError::other(error.to_string()))
}
