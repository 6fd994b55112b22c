# Every option of the home modules, for the reference book: a list of
# { name; type; default; example; description; declarations; readOnly }.
{ lib, options }:
let
  root = toString ./.. + "/";
  text = v: if v == null then null else if v._type or "" == "literalMD" || v ? text then v.text else toString v;
in
map
  (opt: {
    inherit (opt) name type readOnly;
    description = text opt.description;
    default = text (opt.default or null);
    example = text (opt.example or null);
    declarations = map (d: lib.removePrefix root (toString d)) opt.declarations;
  })
  (
    builtins.filter (opt: opt.visible && !opt.internal && !lib.elem "_module" opt.loc) (
      lib.optionAttrSetToDocList options
    )
  )
