//! The order of names.
//!
//! Attributes are kept in the order in which their names became symbols, and where a set is walked over
//! (`deepSeq`, `mapAttrs` …) that order shows. C++ Nix makes the names of its built-in values, and those in
//! its text of `derivation`, before it reads any file.

use nival_syntax::Symbol;

/// Makes the symbols that come before all others, if this is the first evaluator.
pub(crate) fn intern_names() {
    for name in FIRST_NAMES {
        Symbol::intern(name);
        if let Some(member) = name.strip_prefix("__") {
            Symbol::intern(member);
        }
    }
}

/// Global names in the order of C++ Nix 2.34 (recorded from it with `mapAttrs`). What is only a member of
/// `builtins` is global with two underscores.
#[rustfmt::skip]
static FIRST_NAMES: &[&str] = &[
    "builtins", "true", "false", "null", "__currentTime", "__currentSystem", "__nixVersion", "__storeDir",
    "__langVersion", "__traceVerbose", "__nixPath", "scopedImport", "import", "__typeOf", "isNull",
    "__isFunction", "__isInt", "__isFloat", "__isString", "__isBool", "__isPath", "__genericClosure",
    "break", "abort", "throw", "__addErrorContext", "__ceil", "__floor", "__tryEval", "__getEnv",
    "__seq", "__deepSeq", "__trace", "__warn", "derivationStrict", "placeholder", "__toPath", "__storePath",
    "__pathExists", "baseNameOf", "dirOf", "__readFile", "__findFile", "__hashFile", "__readFileType",
    "__readDir", "__toXML", "__toJSON", "__fromJSON", "__toFile", "__filterSource", "__attrNames",
    "__attrValues", "__getAttr", "__unsafeGetAttrPos", "__hasAttr", "__isAttrs", "removeAttrs",
    "__listToAttrs", "__intersectAttrs", "__catAttrs", "__functionArgs", "__mapAttrs", "__zipAttrsWith",
    "__isList", "__elemAt", "__head", "__tail", "map", "__filter", "__elem", "__concatLists", "__length",
    "__foldl'", "__any", "__all", "__genList", "__sort", "__partition", "__groupBy", "__concatMap", "__add",
    "__sub", "__mul", "__div", "__bitAnd", "__bitOr", "__bitXor", "__lessThan", "toString", "__substring",
    "__stringLength", "__hashString", "__convertHash", "__match", "__split", "__concatStringsSep",
    "__replaceStrings", "__parseDrvName", "__compareVersions", "__splitVersion",
    "__unsafeDiscardStringContext", "__hasContext", "__unsafeDiscardOutputDependency",
    "__addDrvOutputDependencies", "__getContext", "__appendContext", "fetchMercurial", "fetchTree",
    "__fetchurl", "fetchTarball", "fetchGit", "fromTOML", "__getFlake", "__parseFlakeRef",
    "__flakeRefToString", "derivation", "strict", "drvAttrs", "commonAttrs", "x", "outputToAttrListElement",
];
