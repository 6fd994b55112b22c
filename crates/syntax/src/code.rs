//! The numbers of errors, each with a short name and an explanation for `nival explain`.

/// A kind of problem. Numbers are never given to another meaning.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(&'static Entry);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Entry {
    number: &'static str,
    slug: &'static str,
    explanation: &'static str,
}

macro_rules! codes {
    ($($name:ident = $number:literal, $slug:literal, $explanation:literal;)*) => {
        impl Code {
            $(
                #[doc = concat!($number, ", ", $slug, ".")]
                pub const $name: Code = Code(&Entry {
                    number: $number,
                    slug: $slug,
                    explanation: $explanation,
                });
            )*

            /// All codes, in the order of their numbers.
            pub const ALL: &[Code] = &[$(Code::$name),*];
        }
    };
}

codes! {
    SYNTAX = "E0001", "syntax-error",
        "The text is not an expression of the Nix language. The message names the token that does not fit \
         and, if they are few, the ones that would. Look just before the marked place: a missing `;` after a \
         binding, a missing `}` or `''`, or a list element or argument that needs parentheses is the usual \
         cause.";
    DUPLICATE_ATTRIBUTE = "E0002", "duplicate-attribute",
        "An attribute is defined twice in one set. `a.b = 1; a.c = 2;` is allowed, since both add to the set \
         `a`; `a = f x; a.c = 2;` is not, since the parser can't look into the value of `f x`. Remove one \
         definition, or unite two sets with `//`.";
    DUPLICATE_FORMAL = "E0003", "duplicate-argument",
        "A function names the same argument twice, as in `{ a, a }: …` or `a@{ a }: …`. Rename or remove one.";
    DYNAMIC_NAME = "E0004", "dynamic-name",
        "`let` and `inherit` need names that are known before anything is evaluated, so `${…}` is not \
         allowed there. Use an attribute set and select from it: `set.${name}`.";
    NUMBER = "E0005", "number-out-of-range",
        "A number can't be represented. Integers are signed and have 64 bits, from -9223372036854775808 to \
         9223372036854775807; floating-point numbers have 64 bits too.";
    PATH = "E0006", "bad-path",
        "A path can't be used as it is written: it ends in a slash, or it starts with `~/` where the home \
         folder is unknown or must not be looked at (pure evaluation).";
    FEATURE = "E0007", "disabled-feature",
        "The syntax belongs to an experimental feature that is off. Turn it on with \
         `--extra-experimental-features NAME` or in the configuration.";
    TOO_DEEP = "E0008", "too-deep",
        "Brackets, braces, parentheses or strings are nested so deeply that the parser gives up rather than \
         run out of stack. Generated text should be split over several files or use data (`fromJSON`).";
    NULL_BYTE = "E0009", "null-byte",
        "A string holds a NUL byte. Strings of the Nix language end up as arguments and environment \
         variables, which can't hold one.";
    TOO_LARGE = "E0010", "too-large",
        "More source text was read than the positions of an expression can number (4 GiB in all).";
    UNDEFINED_VARIABLE = "E0020", "undefined-variable",
        "A name is used that no `let`, function argument, `rec` set or builtin defines, and no `with` \
         stands around it. Check the spelling; a package of nixpkgs is reached as `pkgs.name`.";
    MISSING_ATTRIBUTE = "E0021", "missing-attribute",
        "An attribute was selected that the set does not have. `set ? name` asks whether it is there, \
         `set.name or default` gives a value for when it is not.";
    TYPE = "E0022", "type-error",
        "A value is of another type than the place it is used in needs, such as a set where a string is \
         needed. The frames show how it got there.";
    INFINITE_RECURSION = "E0023", "infinite-recursion",
        "A value needs itself to be computed, as in `let a = a; in a`. In modules the usual cause is an \
         `imports` or a set of options that depends on `config`.";
    STACK_OVERFLOW = "E0024", "call-too-deep",
        "Function calls are nested deeper than the limit (`max-call-depth`). A recursion without an end is \
         the usual cause; a recursion over a long list is better written with `foldl'`.";
    ASSERTION = "E0025", "assertion-failed",
        "The condition of an `assert` is false.";
    ABORT = "E0026", "abort",
        "The expression stopped evaluation by `abort`. Unlike `throw`, it can't be caught by `tryEval`.";
    THROW = "E0027", "throw",
        "The expression reported an error by `throw`. The text is the author's.";
    MISSING_ARGUMENT = "E0028", "missing-argument",
        "A function that takes a set was called without one of the arguments it has no default for.";
    UNEXPECTED_ARGUMENT = "E0029", "unexpected-argument",
        "A function that takes a set was called with an argument it does not name, and it has no `...`.";
    MISSING_FILE = "E0030", "missing-file",
        "A file that the expression names is not there. In a flake, a file that Git doesn't track is not \
         there either: `git add` it.";
    SEARCH_PATH = "E0031", "not-in-search-path",
        "A `<name>` was not found along the search path: give `-I name=PATH`, set `NIX_PATH`, or in a flake \
         use an input instead.";
    ARITHMETIC = "E0032", "arithmetic",
        "A division by zero, or an integer result beyond 64 bits.";
    CONTEXT = "E0033", "string-context",
        "A string refers to store paths where that is not allowed, such as in the name of an attribute or \
         file. `builtins.unsafeDiscardStringContext` drops the reference if it is not needed.";
    IMPURE = "E0034", "impure",
        "Something outside of the declared inputs was asked for in pure evaluation. Give `--impure`, or \
         make it an input with a hash.";
}

impl Code {
    /// The number, such as `E0012`.
    pub const fn number(self) -> &'static str {
        self.0.number
    }

    /// The short name, such as `type-error`.
    pub const fn slug(self) -> &'static str {
        self.0.slug
    }

    /// What it means, and what to do.
    pub const fn explanation(self) -> &'static str {
        self.0.explanation
    }

    /// Finds a code by its number (in any case) or short name.
    pub fn find(text: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.number().eq_ignore_ascii_case(text) || code.slug() == text)
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.number(), self.slug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_ordered() {
        for pair in Code::ALL.windows(2) {
            assert!(pair[0].number() < pair[1].number(), "{:?} before {:?}", pair[0], pair[1]);
        }
        for code in Code::ALL {
            assert_eq!(Code::find(code.slug()), Some(*code));
            assert_eq!(Code::find(&code.number().to_lowercase()), Some(*code));
        }
        assert_eq!(Code::find("E9999"), None);
    }
}
