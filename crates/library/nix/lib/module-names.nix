# What `lib` shows of `lib.modules` at its top.
modules:
removeAttrs modules [
  "defaultOrderPriority"
  "defaultOverridePriority"
  "evalOptionValue"
  "importApply"
  "importJSON"
  "importTOML"
  "mapDefinitionValue"
  "mkAliasIfDef"
  "mergeAttrDefinitionsWithPrio"
  "mkAliasAndWrapDefsWithPriority"
  "pushDown"
  "unmatchedMessage"
  "asSubmodule"
  "notAnOption"
]
