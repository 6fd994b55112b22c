# What `lib` shows of `lib.types` at its top.
types: {
  inherit (types)
    defaultFunctor
    defaultTypeMerge
    isOptionType
    isType
    mkOptionType
    setType
    ;
}
