//! Which argument a built-in function evaluates before it does anything else.
//!
//! A call that knows the function evaluates this argument at once and makes no thunk for it. That can't be
//! noticed: whatever goes wrong in the argument is handed over as a thunk that failed, so that the function
//! words its error as ever. Functions that are not listed get thunks.

/// The number of that argument.
pub(crate) fn evaluated_first(builtin: &str) -> Option<usize> {
    Some(match builtin {
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
    })
}
