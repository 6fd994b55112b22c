# The string functions that `lib` has at its top.
strings:
removeAttrs strings [
  "charToInt"
  "commonPrefixLength"
  "escapeC"
  "escapeNixIdentifier"
  "escapeNixString"
  "fromJSON"
  "isConvertibleWithToString"
  "keywords"
  "levenshtein"
  "levenshteinAtMost"
  "normalizePath"
  "readPathsFromFile"
  "replicate"
  "sanitizeDerivationName"
  "toJSON"
]
