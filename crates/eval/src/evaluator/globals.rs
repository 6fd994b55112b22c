//! What can be named without any scope: `builtins` and what of it is global.

use std::collections::HashMap;

use nival_syntax::{Pos, Symbol};

use super::{Env, Evaluator};
use crate::Result;
use crate::builtins;
use crate::code::Run;
use crate::error::EvalError;
use crate::hash::WordHash;
use crate::value::{AttrsBuilder, Builtin, Constant, Value};

pub(crate) struct Globals {
    pub(crate) names: HashMap<Symbol, Value, WordHash>,
    pub(crate) builtins: Value,
}

impl Globals {
    pub(super) fn each_root(&self, see: &mut dyn FnMut(u64)) {
        self.names.values().for_each(|value| see(value.to_bits()));
        see(self.builtins.to_bits());
    }
}

impl Evaluator {
    pub(crate) fn globals(&self) -> &Globals {
        self.shared.globals.get_or_init(|| self.make_globals())
    }

    /// The set `builtins`.
    pub fn builtins(&self) -> Value {
        self.globals().builtins
    }

    /// A built-in value by its global name.
    pub(crate) fn global(&self, name: Symbol) -> Result<Value> {
        let value = self.globals().names.get(&name).copied();
        let value = value.ok_or_else(|| EvalError::other(format!("there is no built-in '{name}'")))?;
        self.force(value, Pos::NONE)
    }

    fn make_globals(&self) -> Globals {
        let mut names = HashMap::default();
        let mut set = AttrsBuilder::new();
        for builtin in builtins::functions() {
            debug_assert!(builtin.arity() <= Builtin::MOST_ARGUMENTS, "`{}` has too many", builtin.name);
            if builtin.feature.is_some_and(|feature| !self.settings().has_feature(feature)) {
                continue;
            }
            let value = self.builtin(builtin);
            names.insert(global_name(builtin.name, builtin.global), value);
            if !builtin.internal {
                set.add(builtin.name, value);
            }
        }
        let impure = builtins::impure_constants().filter(|_| !self.settings().pure_eval);
        for constant in builtins::constants().chain(impure) {
            let value = self.native_thunk(ConstantValue(constant));
            names.insert(global_name(constant.name, constant.global), value);
            set.add(constant.name, value);
        }
        set.add("true", Value::TRUE);
        set.add("false", Value::FALSE);
        set.add("null", Value::NULL);
        let itself = Symbol::intern("builtins");
        set.add(itself, Value::NULL);
        let builtins = set.build(&self.heap);
        if let Some(slot) = builtins.slot(itself) {
            slot.set(builtins.into());
        }
        let builtins = Value::from(builtins);
        names.insert(itself, builtins);
        for (name, value) in [("true", Value::TRUE), ("false", Value::FALSE), ("null", Value::NULL)] {
            names.insert(Symbol::intern(name), value);
        }
        Globals { names, builtins }
    }
}

fn global_name(name: &str, global: bool) -> Symbol {
    if global { Symbol::intern(name) } else { Symbol::intern(format!("__{name}")) }
}

struct ConstantValue(&'static Constant);

impl Run for ConstantValue {
    fn run(&self, ev: &Evaluator, _: Env) -> Result<Value> {
        let value = (self.0.value)(ev)?;
        ev.force(value, Pos::NONE)
    }
}
