//! Finding the derivations in what a file evaluates to, as `nix-instantiate` and `nix-build` do
//! (C++ Nix, `get-drvs.cc`).

use std::collections::{BTreeMap, HashSet};

use nival_formats::StorePath;
use nival_syntax::{Pos, Symbol};

use crate::context::Context;
use crate::error::{EvalError, InFrame, Result};
use crate::evaluator::Evaluator;
use crate::value::{Attrs, Value, View};

/// A derivation that was found, and the output of it that was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The `.drv` file.
    pub derivation: StorePath,
    /// The output's name.
    pub output: String,
}

impl Evaluator {
    /// The derivation that the value is, or those in the set or list that it is. Functions with default
    /// arguments are called on the way; sets further in are looked into if they say `recurseForDerivations`.
    /// They are instantiated one by one when all are found.
    pub fn packages(
        &self,
        value: Value,
        arguments: &BTreeMap<Symbol, Value>,
        each: &mut dyn FnMut(Package),
    ) -> Result<()> {
        let mut search = Search { ev: self, arguments, seen: HashSet::new(), found: Vec::new() };
        search.inside(value)?;
        search.found.into_iter().try_for_each(|attrs| self.package(attrs).map(&mut *each))
    }

    fn package(&self, attrs: Attrs) -> Result<Package> {
        let drv_path = attrs
            .get_attr(Symbol::intern("drvPath"))
            .ok_or_else(|| EvalError::other("derivation does not contain a 'drvPath' attribute"))?;
        let frame = "while evaluating the 'drvPath' attribute of a derivation";
        let mut context = Context::EMPTY;
        let derivation = self.coerce_to_store_path(drv_path.value, &mut context, drv_path.pos(), frame)?;
        if !derivation.is_derivation() {
            let message = format!("store path '{derivation}' is not a valid derivation path");
            return Err(EvalError::other(message).with_frame(frame, drv_path.pos()));
        }
        let frame = "while evaluating the output name of a derivation";
        let output = match attrs.get_attr(Symbol::intern("outputName")) {
            Some(attr) => self.force_plain_string(attr.value, attr.pos(), frame)?.to_text().into_owned(),
            None => String::new(),
        };
        if output.is_empty() {
            let path = self.host().store_dir().display(&derivation);
            return Err(EvalError::other(format!("derivation '{path}' lacks an 'outputName' attribute")));
        }
        Ok(Package { derivation, output })
    }
}

struct Search<'a> {
    ev: &'a Evaluator,
    arguments: &'a BTreeMap<Symbol, Value>,
    seen: HashSet<Value>,
    found: Vec<Attrs>,
}

impl Search<'_> {
    fn inside(&mut self, value: Value) -> Result<()> {
        let ev = self.ev;
        let _depth = ev.enter(Pos::NONE)?;
        let value = ev.auto_call(self.arguments, value)?;
        if self.is_found(value)? {
            return Ok(());
        }
        match value.view() {
            View::Attrs(attrs) => {
                let everything = attrs.contains(Symbol::intern("_combineChannels"));
                for attr in attrs.by_name() {
                    if is_plain_name(attr.name.as_bytes()) {
                        self.attribute(attr.value, everything).frame_with(
                            || format!("while evaluating the attribute '{}'", attr.name.to_identifier()),
                            attr.pos(),
                        )?;
                    }
                }
                Ok(())
            }
            View::List(list) => {
                for element in list.iter() {
                    if !self.is_found(element)? {
                        self.inside(element)?;
                    }
                }
                Ok(())
            }
            _ => Err(EvalError::of_type(
                "expression does not evaluate to a derivation (or a set or list of those)",
            )),
        }
    }

    fn attribute(&mut self, value: Value, everything: bool) -> Result<()> {
        if everything {
            return self.inside(value);
        }
        if self.is_found(value)? {
            return Ok(());
        }
        let value = self.ev.force(value, Pos::NONE)?;
        let Some(attrs) = value.as_attrs() else { return Ok(()) };
        let Some(recurse) = attrs.get_attr(Symbol::intern("recurseForDerivations")) else { return Ok(()) };
        let frame = "while evaluating the attribute `recurseForDerivations`";
        if self.ev.force_bool(recurse.value, recurse.pos(), frame)? { self.inside(value) } else { Ok(()) }
    }

    /// Whether the value is a derivation; it is kept the first time.
    fn is_found(&mut self, value: Value) -> Result<bool> {
        let value = self.ev.force(value, Pos::NONE)?;
        let Some(attrs) = value.as_attrs() else { return Ok(false) };
        if !self.ev.is_derivation(value)? {
            return Ok(false);
        }
        if self.seen.insert(attrs.into()) {
            let name = attrs
                .get_attr(Symbol::intern("name"))
                .ok_or_else(|| EvalError::of_type("derivation name missing"))?;
            let frame = "while evaluating the 'name' attribute of a derivation";
            self.ev.force_plain_string(name.value, name.pos(), frame)?;
            self.found.push(attrs);
        }
        Ok(true)
    }
}

/// Whether a name could be written without quotes; others are not looked at.
fn is_plain_name(name: &[u8]) -> bool {
    let Some((first, rest)) = name.split_first() else { return false };
    let letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    letter(first)
        && rest.iter().all(|byte| letter(byte) || byte.is_ascii_digit() || matches!(byte, b'-' | b'+'))
}
