//! Expressions as text, in the form that `nix-instantiate --parse` prints: everything in parentheses,
//! operators that call a builtin as that call, sets sorted by name.

use std::collections::BTreeMap;

use crate::ast::{AttrKind, AttrName, BinaryOp, Expr, ExprId, LambdaId, SetId};
use crate::{Ast, Symbol};

/// The whole expression as the reference prints it.
pub fn print(ast: &Ast<'_>) -> Vec<u8> {
    expression(ast, ast.root())
}

/// A part of the tree as the reference prints it.
pub fn expression(ast: &Ast<'_>, id: ExprId) -> Vec<u8> {
    let mut printer = Printer { ast, out: Vec::new() };
    printer.run(vec![Step::Expr(id)]);
    printer.out
}

/// An attribute path as the reference prints it in expressions and messages.
pub fn attr_path(ast: &Ast<'_>, names: &[AttrName]) -> Vec<u8> {
    let mut steps = Vec::new();
    push_path(&mut steps, names.iter().copied());
    steps.reverse();
    let mut printer = Printer { ast, out: Vec::new() };
    printer.run(steps);
    printer.out
}

/// A name as it stands in an expression: quoted if it must be.
pub fn identifier(out: &mut Vec<u8>, name: &[u8]) {
    const KEYWORDS: [&[u8]; 9] =
        [b"if", b"then", b"else", b"assert", b"with", b"let", b"in", b"rec", b"inherit"];
    let plain = name.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'\'' | b'-'))
        && !KEYWORDS.contains(&name);
    if plain {
        out.extend_from_slice(name);
    } else {
        string(out, name);
    }
}

/// A string as it stands in an expression, with its quotes.
pub fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for (index, byte) in text.iter().enumerate() {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            b'$' if text.get(index + 1) == Some(&b'{') => out.extend(b"\\$"),
            byte => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// A float as C++ streams print it: six significant digits (`%g`).
pub fn float(value: f64) -> String {
    if !value.is_finite() {
        return no_number(value);
    }
    let scientific = format!("{value:.5e}");
    let (digits, exponent) = scientific.split_once('e').expect("this format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    let trim = |text: &str| {
        let trimmed =
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
        trimmed.to_owned()
    };
    if (-4..6).contains(&exponent) {
        let places = usize::try_from(5 - exponent).unwrap_or(0);
        return trim(&format!("{value:.places$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(digits), exponent.abs())
}

/// A float as `std::to_string` prints it (`%f`).
pub fn float_with_all_places(value: f64) -> String {
    if value.is_finite() { format!("{value:.6}") } else { no_number(value) }
}

/// NaN has a sign, which shows.
fn no_number(value: f64) -> String {
    let sign = if value.is_sign_negative() { "-" } else { "" };
    format!("{sign}{}", if value.is_nan() { "nan" } else { "inf" })
}

/// What is still to be printed; a stack of these stands for recursion.
enum Step {
    Expr(ExprId),
    Text(&'static str),
    Name(Symbol),
    /// A call without its parentheses, so that further arguments can follow.
    Head(ExprId),
}

struct Printer<'a> {
    ast: &'a Ast<'a>,
    out: Vec<u8>,
}

impl Printer<'_> {
    fn run(&mut self, mut stack: Vec<Step>) {
        // Each turn's steps are gathered in reading order and then put on the stack the other way round.
        let mut steps = Vec::new();
        while let Some(step) = stack.pop() {
            match step {
                Step::Text(text) => self.out.extend_from_slice(text.as_bytes()),
                Step::Name(name) => identifier(&mut self.out, name.as_bytes()),
                Step::Expr(id) => self.expr(id, &mut steps),
                Step::Head(id) => self.head(id, &mut steps),
            }
            stack.extend(steps.drain(..).rev());
        }
    }

    fn expr(&mut self, id: ExprId, steps: &mut Vec<Step>) {
        let ast = self.ast;
        let mut put = |list: &[Piece]| {
            for piece in list {
                steps.push(match *piece {
                    Piece::T(text) => Step::Text(text),
                    Piece::E(expr) => Step::Expr(expr),
                });
            }
        };
        match ast.expr(id) {
            Expr::Int(value) => self.out.extend(value.to_string().bytes()),
            Expr::Float(value) => self.out.extend(float(value).bytes()),
            Expr::String(range) => string(&mut self.out, ast.bytes(range)),
            Expr::Path(range) => self.out.extend_from_slice(ast.bytes(range)),
            Expr::CurPos => self.out.extend(b"__curPos"),
            Expr::Var(name) => identifier(&mut self.out, name.as_bytes()),
            Expr::Select { subject, path, default } => {
                put(&[Piece::T("("), Piece::E(subject), Piece::T(").")]);
                push_path(steps, ast.path(path));
                if let Some(default) = default {
                    steps.extend([Step::Text(" or ("), Step::Expr(default), Step::Text(")")]);
                }
            }
            Expr::HasAttr { subject, path } => {
                put(&[Piece::T("(("), Piece::E(subject), Piece::T(") ? ")]);
                push_path(steps, ast.path(path));
                steps.push(Step::Text(")"));
            }
            Expr::Lambda(lambda) => self.lambda(lambda, steps),
            Expr::Set(set) => {
                steps.push(Step::Text(if ast.set(set).recursive { "rec { " } else { "{ " }));
                self.bindings(set, steps);
                steps.push(Step::Text("}"));
            }
            Expr::Let { bindings, body } => {
                steps.push(Step::Text("(let "));
                self.bindings(bindings, steps);
                steps.extend([Step::Text("in "), Step::Expr(body), Step::Text(")")]);
            }
            Expr::List(items) => {
                put(&[Piece::T("[ ")]);
                for item in ast.list(items) {
                    put(&[Piece::T("("), Piece::E(*item), Piece::T(") ")]);
                }
                put(&[Piece::T("]")]);
            }
            Expr::With { scope, body } => {
                put(&[Piece::T("(with "), Piece::E(scope), Piece::T("; "), Piece::E(body), Piece::T(")")]);
            }
            Expr::If { condition, then, otherwise } => put(&[
                Piece::T("(if "),
                Piece::E(condition),
                Piece::T(" then "),
                Piece::E(then),
                Piece::T(" else "),
                Piece::E(otherwise),
                Piece::T(")"),
            ]),
            Expr::Assert { condition, body } => {
                put(&[Piece::T("assert "), Piece::E(condition), Piece::T("; "), Piece::E(body)]);
            }
            Expr::Not(operand) => put(&[Piece::T("(! "), Piece::E(operand), Piece::T(")")]),
            Expr::Concat { parts, .. } => {
                let mut before = "(";
                for part in ast.parts(parts) {
                    put(&[Piece::T(before), Piece::E(part.expr)]);
                    before = " + ";
                }
                put(&[Piece::T(")")]);
            }
            Expr::Binary { op, left, right } => match symbol(op) {
                Some(symbol) => {
                    put(&[Piece::T("("), Piece::E(left), Piece::T(symbol), Piece::E(right), Piece::T(")")]);
                }
                None => {
                    let negated = matches!(op, BinaryOp::LessOrEqual | BinaryOp::GreaterOrEqual);
                    let (open, close) = if negated { ("(! (", "))") } else { ("(", ")") };
                    steps.extend([Step::Text(open), Step::Head(id), Step::Text(close)]);
                }
            },
            Expr::Call { .. } | Expr::Negate(_) | Expr::SearchPath(_) => {
                steps.extend([Step::Text("("), Step::Head(id), Step::Text(")")]);
            }
        }
    }

    /// A function and its arguments.
    fn head(&mut self, id: ExprId, steps: &mut Vec<Step>) {
        let ast = self.ast;
        match ast.expr(id) {
            Expr::Call { function, arguments } => {
                let more = match ast.expr(function) {
                    Expr::Negate(_) | Expr::SearchPath(_) => true,
                    Expr::Binary { op, .. } => {
                        symbol(op).is_none()
                            && !matches!(op, BinaryOp::LessOrEqual | BinaryOp::GreaterOrEqual)
                    }
                    _ => false,
                };
                steps.push(if more { Step::Head(function) } else { Step::Expr(function) });
                for argument in ast.list(arguments) {
                    steps.extend([Step::Text(" "), Step::Expr(*argument)]);
                }
            }
            Expr::Negate(operand) => steps.extend([Step::Text("__sub 0 "), Step::Expr(operand)]),
            Expr::SearchPath(name) => {
                self.out.extend(b"__findFile __nixPath ");
                string(&mut self.out, ast.bytes(name));
            }
            Expr::Binary { op, left, right } => {
                let (first, second) = match op {
                    BinaryOp::LessOrEqual | BinaryOp::Greater => (right, left),
                    _ => (left, right),
                };
                if let Some(name) = op.function() {
                    steps.push(Step::Name(name));
                }
                steps.extend([Step::Text(" "), Step::Expr(first), Step::Text(" "), Step::Expr(second)]);
            }
            _ => steps.push(Step::Expr(id)),
        }
    }

    fn lambda(&self, id: LambdaId, steps: &mut Vec<Step>) {
        let lambda = self.ast.lambda(id);
        steps.push(Step::Text("("));
        if let Some(formals) = lambda.formals {
            let mut sorted: Vec<_> = self.ast.formals(formals).collect();
            sorted.sort_by_key(|formal| formal.name.as_bytes());
            let mut before = "{ ";
            for formal in sorted {
                steps.extend([Step::Text(before), Step::Name(formal.name)]);
                if let Some(default) = formal.default {
                    steps.extend([Step::Text(" ? "), Step::Expr(default)]);
                }
                before = ", ";
            }
            if formals.ellipsis {
                steps.extend([Step::Text(before), Step::Text("...")]);
            } else if formals.range.is_empty() {
                steps.push(Step::Text("{ "));
            }
            steps.push(Step::Text(" }"));
            if lambda.argument.is_some() {
                steps.push(Step::Text(" @ "));
            }
        }
        steps.extend(lambda.argument.map(Step::Name));
        steps.extend([Step::Text(": "), Step::Expr(lambda.body), Step::Text(")")]);
    }

    fn bindings(&self, set: SetId, steps: &mut Vec<Step>) {
        let mut attrs: Vec<_> = self.ast.attrs(set).collect();
        attrs.sort_by_key(|attr| attr.name.as_bytes());
        let order: BTreeMap<ExprId, usize> =
            self.ast.inherit_from(set).iter().enumerate().map(|(index, from)| (*from, index)).collect();
        let mut inherited = attrs.iter().filter(|attr| attr.kind == AttrKind::Inherited).peekable();
        if inherited.peek().is_some() {
            steps.push(Step::Text("inherit"));
            steps.extend(inherited.flat_map(|attr| [Step::Text(" "), Step::Name(attr.name)]));
            steps.push(Step::Text("; "));
        }
        let mut from: BTreeMap<usize, (ExprId, Vec<Symbol>)> = BTreeMap::new();
        for attr in &attrs {
            if let AttrKind::InheritedFrom(expr) = attr.kind {
                let index = order.get(&expr).copied().unwrap_or(order.len());
                from.entry(index).or_insert((expr, Vec::new())).1.push(attr.name);
            }
        }
        for (expr, names) in from.into_values() {
            steps.extend([Step::Text("inherit ("), Step::Expr(expr), Step::Text(")")]);
            steps.extend(names.into_iter().flat_map(|name| [Step::Text(" "), Step::Name(name)]));
            steps.push(Step::Text("; "));
        }
        for attr in attrs.iter().filter(|attr| attr.kind == AttrKind::Plain) {
            steps.extend([
                Step::Name(attr.name),
                Step::Text(" = "),
                Step::Expr(attr.value),
                Step::Text("; "),
            ]);
        }
        for attr in self.ast.dynamic_attrs(set) {
            steps.extend([Step::Text("\"${"), Step::Expr(attr.name), Step::Text("}\" = ")]);
            steps.extend([Step::Expr(attr.value), Step::Text("; ")]);
        }
    }
}

enum Piece {
    T(&'static str),
    E(ExprId),
}

fn push_path(steps: &mut Vec<Step>, names: impl Iterator<Item = AttrName>) {
    for (index, name) in names.enumerate() {
        if index > 0 {
            steps.push(Step::Text("."));
        }
        match name {
            AttrName::Static(name) => steps.push(Step::Name(name)),
            AttrName::Dynamic(expr) => {
                steps.extend([Step::Text("\"${"), Step::Expr(expr), Step::Text("}\"")]);
            }
        }
    }
}

/// An operator that the reference prints as such; the others are calls.
fn symbol(op: BinaryOp) -> Option<&'static str> {
    Some(match op {
        BinaryOp::Equal => " == ",
        BinaryOp::NotEqual => " != ",
        BinaryOp::And => " && ",
        BinaryOp::Or => " || ",
        BinaryOp::Implies => " -> ",
        BinaryOp::Update => " // ",
        BinaryOp::ConcatLists => " ++ ",
        _ => return None,
    })
}
