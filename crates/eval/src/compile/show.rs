//! Expressions as text, as the reference shows them: in messages of `assert` and by
//! `nix-instantiate --parse`.

use nival_syntax::ast::{AttrKind, AttrName, BinaryOp, Expr, Lambda, PathId, SetId};
use nival_syntax::{Ast, ExprId, Symbol};

use crate::number::format_general;
use crate::print::write_string;

/// The expression with all its parentheses, operators as the calls they mean.
pub(crate) fn show(ast: &Ast, id: ExprId) -> String {
    let mut shown = Shown { ast, out: Vec::new() };
    shown.expr(id);
    String::from_utf8_lossy(&shown.out).into_owned()
}

struct Shown<'a> {
    ast: &'a Ast,
    out: Vec<u8>,
}

impl Shown<'_> {
    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn name(&mut self, name: Symbol) {
        self.out.extend_from_slice(name.as_bytes());
    }

    /// Texts and expressions in turn.
    fn around(&mut self, parts: &[(&str, ExprId)], end: &str) {
        for (before, id) in parts {
            self.text(before);
            self.expr(*id);
        }
        self.text(end);
    }

    fn expr(&mut self, id: ExprId) {
        let ast = self.ast;
        match ast.expr(id) {
            Expr::Int(value) => self.text(&value.to_string()),
            Expr::Float(value) => self.text(&format_general(value)),
            Expr::String(range) => write_string(ast.bytes(range), usize::MAX, &mut self.out),
            Expr::Path(range) => self.out.extend_from_slice(ast.bytes(range)),
            Expr::SearchPath(range) => {
                self.text("(__findFile __nixPath ");
                write_string(ast.bytes(range), usize::MAX, &mut self.out);
                self.text(")");
            }
            Expr::CurPos => self.text("__curPos"),
            Expr::Var(name) => self.name(name),
            Expr::Select { subject, path, default } => {
                self.around(&[("(", subject)], ").");
                self.path(path);
                if let Some(default) = default {
                    self.around(&[(" or (", default)], ")");
                }
            }
            Expr::HasAttr { subject, path } => {
                self.around(&[("((", subject)], ") ? ");
                self.path(path);
                self.text(")");
            }
            Expr::Call { function, arguments } => {
                self.around(&[("(", function)], "");
                for argument in ast.list(arguments) {
                    self.around(&[(" ", *argument)], "");
                }
                self.text(")");
            }
            Expr::Lambda(lambda) => self.lambda(ast.lambda(lambda)),
            Expr::Set(set) => {
                self.text(if ast.set(set).recursive { "rec { " } else { "{ " });
                self.bindings(set);
                self.text("}");
            }
            Expr::Let { bindings, body } => {
                self.text("(let ");
                self.bindings(bindings);
                self.around(&[("in ", body)], ")");
            }
            Expr::List(range) => {
                self.text("[ ");
                for element in ast.list(range) {
                    self.around(&[("(", *element)], ") ");
                }
                self.text("]");
            }
            Expr::With { scope, body } => self.around(&[("(with ", scope), ("; ", body)], ")"),
            Expr::If { condition, then, otherwise } => {
                self.around(&[("(if ", condition), (" then ", then), (" else ", otherwise)], ")");
            }
            Expr::Assert { condition, body } => self.around(&[("assert ", condition), ("; ", body)], ""),
            Expr::Not(operand) => self.around(&[("(! ", operand)], ")"),
            Expr::Negate(operand) => self.around(&[("(__sub 0 ", operand)], ")"),
            Expr::Binary { op, left, right } => self.binary(op, left, right),
            Expr::Concat { parts, .. } => {
                self.text("(");
                for (index, part) in ast.parts(parts).iter().enumerate() {
                    self.around(&[(if index == 0 { "" } else { " + " }, part.expr)], "");
                }
                self.text(")");
            }
        }
    }

    fn binary(&mut self, op: BinaryOp, left: ExprId, right: ExprId) {
        let (before, first, second, after) = match op {
            BinaryOp::Less => ("(__lessThan ", left, right, ")"),
            BinaryOp::Greater => ("(__lessThan ", right, left, ")"),
            BinaryOp::LessOrEqual => ("(! (__lessThan ", right, left, "))"),
            BinaryOp::GreaterOrEqual => ("(! (__lessThan ", left, right, "))"),
            BinaryOp::Subtract => ("(__sub ", left, right, ")"),
            BinaryOp::Multiply => ("(__mul ", left, right, ")"),
            BinaryOp::Divide => ("(__div ", left, right, ")"),
            _ => {
                let sign = match op {
                    BinaryOp::Equal => " == ",
                    BinaryOp::NotEqual => " != ",
                    BinaryOp::And => " && ",
                    BinaryOp::Or => " || ",
                    BinaryOp::Implies => " -> ",
                    BinaryOp::Update => " // ",
                    _ => " ++ ",
                };
                return self.around(&[("(", left), (sign, right)], ")");
            }
        };
        self.around(&[(before, first), (" ", second)], after);
    }

    fn path(&mut self, path: PathId) {
        for (index, name) in self.ast.path(path).iter().enumerate() {
            if index > 0 {
                self.text(".");
            }
            match name {
                AttrName::Static(name) => self.name(*name),
                AttrName::Dynamic(expr) => self.around(&[("\"${", *expr)], "}\""),
            }
        }
    }

    fn lambda(&mut self, lambda: &Lambda) {
        self.text("(");
        if let Some(formals) = lambda.formals {
            self.text("{ ");
            let mut sorted = self.ast.formals(formals).to_vec();
            sorted.sort_unstable_by_key(|formal| formal.name.as_bytes());
            let mut first = true;
            for formal in sorted {
                self.text(if first { "" } else { ", " });
                first = false;
                self.name(formal.name);
                if let Some(default) = formal.default {
                    self.around(&[(" ? ", default)], "");
                }
            }
            if formals.ellipsis {
                self.text(if first { "..." } else { ", ..." });
            }
            self.text(if lambda.argument.is_some() { " } @ " } else { " }" });
        }
        if let Some(argument) = lambda.argument {
            self.name(argument);
        }
        self.around(&[(": ", lambda.body)], ")");
    }

    fn bindings(&mut self, set: SetId) {
        let ast = self.ast;
        let mut sorted: Vec<_> = ast.attrs(set).collect();
        sorted.sort_unstable_by_key(|attr| attr.name.as_bytes());
        let inherited: Vec<_> = sorted.iter().filter(|attr| attr.kind == AttrKind::Inherited).collect();
        if !inherited.is_empty() {
            self.text("inherit");
            for attr in inherited {
                self.text(" ");
                self.name(attr.name);
            }
            self.text("; ");
        }
        for from in ast.inherit_from(set) {
            let names: Vec<_> =
                sorted.iter().filter(|attr| attr.kind == AttrKind::InheritedFrom(*from)).collect();
            if names.is_empty() {
                continue;
            }
            self.around(&[("inherit (", *from)], ")");
            for attr in names {
                self.text(" ");
                self.name(attr.name);
            }
            self.text("; ");
        }
        for attr in sorted.iter().filter(|attr| attr.kind == AttrKind::Plain) {
            self.name(attr.name);
            self.around(&[(" = ", attr.value)], "; ");
        }
        for attr in ast.dynamic_attrs(set) {
            self.around(&[("\"${", attr.name), ("}\" = ", attr.value)], "; ");
        }
    }
}
