//! Which argument a built-in function evaluates before it does anything else.
//!
//! A call that knows the function evaluates this argument at once and makes no thunk for it. That can't be
//! noticed: whatever goes wrong in the argument is handed over as a thunk that failed, so that the function
//! words its error as ever. Functions that are not listed get thunks.

/// Such an argument.
#[derive(Clone, Copy)]
pub(crate) struct First {
    /// Its number.
    pub(crate) argument: usize,
    /// Whether it is evaluated one call deeper than the function, as by what makes a string of it.
    pub(crate) is_deeper: bool,
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
