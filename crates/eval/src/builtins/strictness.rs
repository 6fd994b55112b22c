//! Which argument a built-in function evaluates before it does anything else.
//!
//! A call that knows the function evaluates this argument at once and makes no thunk for it. That can't be
//! noticed: whatever goes wrong in the argument is handed over as a thunk that failed, so that the function
//! words its error as ever. Functions that are not listed get thunks.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::value::Builtin;

/// Such an argument.
#[derive(Clone, Copy)]
pub(crate) struct First {
    /// Its number.
    pub(crate) argument: usize,
    /// Whether it is evaluated one call deeper than the function, as by what makes a string of it.
    pub(crate) is_deeper: bool,
}

/// The answer for the function that was called last in a place of the code: its address, with the answer in bits that it leaves
/// free.
#[derive(Default)]
pub(crate) struct LastFirst(AtomicUsize);

/// The answers that there are.
const ANSWERS: [Option<First>; 5] = [
    None,
    Some(First { argument: 0, is_deeper: false }),
    Some(First { argument: 0, is_deeper: true }),
    Some(First { argument: 1, is_deeper: false }),
    Some(First { argument: 1, is_deeper: true }),
];

const ANSWER_MASK: usize = align_of::<Builtin>() - 1;
const _: () = assert!(ANSWERS.len() <= ANSWER_MASK);

impl LastFirst {
    #[inline]
    pub(crate) fn of(&self, builtin: &'static Builtin) -> Option<First> {
        let address = std::ptr::from_ref(builtin).addr();
        let last = self.0.load(Ordering::Relaxed);
        if last & !ANSWER_MASK == address {
            return ANSWERS[last & ANSWER_MASK];
        }
        let first = evaluated_first(builtin.name);
        let answer = first.map_or(0, |first| 1 + 2 * first.argument + usize::from(first.is_deeper));
        self.0.store(address | answer, Ordering::Relaxed);
        first
    }
}

pub(crate) fn evaluated_first(builtin: &str) -> Option<First> {
    let argument = match builtin {
        "abort"
        | "attrNames"
        | "attrValues"
        | "baseNameOf"
        | "catAttrs"
        | "compareVersions"
        | "concatLists"
        | "concatStringsSep"
        | "deepSeq"
        | "fromJSON"
        | "functionArgs"
        | "genericClosure"
        | "getAttr"
        | "hasAttr"
        | "hasContext"
        | "head"
        | "import"
        | "intersectAttrs"
        | "isAttrs"
        | "isBool"
        | "isFloat"
        | "isFunction"
        | "isInt"
        | "isList"
        | "isNull"
        | "isPath"
        | "isString"
        | "length"
        | "listToAttrs"
        | "match"
        | "parseDrvName"
        | "pathExists"
        | "readDir"
        | "readFile"
        | "removeAttrs"
        | "replaceStrings"
        | "seq"
        | "split"
        | "splitVersion"
        | "stringLength"
        | "substring"
        | "tail"
        | "throw"
        | "toJSON"
        | "toString"
        | "trace"
        | "tryEval"
        | "typeOf"
        | "unsafeDiscardStringContext"
        | "warn" => 0,
        "addErrorContext" | "elem" | "elemAt" | "filter" | "genList" | "map" | "mapAttrs" | "sort" => 1,
        _ => return None,
    };
    let is_deeper = matches!(
        builtin,
        "abort"
            | "baseNameOf"
            | "deepSeq"
            | "stringLength"
            | "throw"
            | "toJSON"
            | "toString"
            | "unsafeDiscardStringContext"
    );
    Some(First { argument, is_deeper })
}
