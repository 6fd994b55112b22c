//! How built-in functions use their arguments.
//!
//! Most evaluate one of them before they do anything else. A call that knows the function evaluates this argument at once and
//! makes no thunk for it. That can't be noticed: whatever goes wrong in the argument is handed over as a thunk that failed, so
//! that the function words its error as ever.
//!
//! Many only borrow arguments: what they give and what they make refers to the value at most, never to the place where it is
//! computed. Such arguments don't escape from the frame of the call, see [`Env`].
//!
//! Functions that are not listed get thunks to keep.
//!
//! [`Env`]: crate::evaluator::Env

use std::sync::atomic::{AtomicU64, Ordering};

use crate::value::Builtin;

/// How a built-in function uses its arguments: a bit for each that is borrowed, and above these which one is evaluated first.
#[derive(Clone, Copy)]
pub(crate) struct Usage(u16);

const HAS_FIRST: u16 = 1 << 8;
/// The first one is evaluated one call deeper than the function, as by what makes a string of it.
const IS_DEEPER: u16 = 1 << 9;
const FIRST_SHIFT: u32 = 10;

impl Usage {
    pub(crate) fn of(builtin: &Builtin) -> Usage {
        let first = evaluated_first(builtin.name);
        let first = first.map_or(0, |(argument, is_deeper)| {
            HAS_FIRST | if is_deeper { IS_DEEPER } else { 0 } | argument << FIRST_SHIFT
        });
        Usage(first | borrowed(builtin.name))
    }

    #[inline(always)]
    pub(crate) fn borrows(self, argument: usize) -> bool {
        self.0 >> argument & 1 == 1
    }

    /// Whether the argument is evaluated before anything else is done.
    #[inline(always)]
    pub(crate) fn is_first(self, argument: usize) -> bool {
        (self.0 & !IS_DEEPER) >> HAS_FIRST.trailing_zeros() == 1 | (argument as u16) << 2
    }

    /// Whether that is one call deeper.
    #[inline(always)]
    pub(crate) fn is_first_deeper(self) -> bool {
        self.0 & IS_DEEPER != 0
    }
}

/// The answer for the function that was called last in a place of the code: its address, with the answer in the high bits,
/// which addresses leave free.
#[derive(Default)]
pub(crate) struct LastUsage(AtomicU64);

const ANSWER_BITS: u32 = 16;

impl LastUsage {
    #[inline]
    pub(crate) fn of(&self, builtin: &'static Builtin) -> Usage {
        let address = std::ptr::from_ref(builtin).addr() as u64;
        let last = self.0.load(Ordering::Relaxed);
        if (last ^ address) << ANSWER_BITS == 0 {
            return Usage((last >> (u64::BITS - ANSWER_BITS)) as u16);
        }
        let usage = Usage::of(builtin);
        self.0.store(address | u64::from(usage.0) << (u64::BITS - ANSWER_BITS), Ordering::Relaxed);
        usage
    }
}

/// The arguments that a function borrows, as bits.
fn borrowed(builtin: &str) -> u16 {
    match builtin {
        "attrNames" | "attrValues" | "functionArgs" | "genericClosure" | "head" | "isAttrs" | "isBool"
        | "isFloat" | "isFunction" | "isInt" | "isList" | "isNull" | "isPath" | "isString" | "length"
        | "listToAttrs" | "parseDrvName" | "splitVersion" | "stringLength" | "tail" | "toString"
        | "typeOf" | "foldl'" => 0b1,
        "genList" | "map" | "mapAttrs" | "zipAttrsWith" => 0b10,
        "addErrorContext" | "all" | "any" | "catAttrs" | "compareVersions" | "concatMap"
        | "concatStringsSep" | "elem" | "elemAt" | "filter" | "getAttr" | "groupBy" | "hasAttr"
        | "intersectAttrs" | "match" | "partition" | "removeAttrs" | "seq" | "sort" | "split"
        | "unsafeGetAttrPos" => 0b11,
        "replaceStrings" | "substring" => 0b111,
        _ => 0,
    }
}

/// The argument that is evaluated first, and whether it is so one call deeper.
fn evaluated_first(builtin: &str) -> Option<(u16, bool)> {
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
    Some((argument, is_deeper))
}
