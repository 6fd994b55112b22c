{ lib, ... }:
let
  g = lib.generators;
in
{
  ini = g.toINI { } { foo = { hi = "x"; n = 1; b = true; }; "b[a]z" = { "also, integers" = 42; "a=b" = "c"; }; };
  dup = g.toINI { listsAsDuplicateKeys = true; } { a.k = [ 1 2 ]; };
  global = g.toINIWithGlobalSection { } { globalSection.a = 1; sections.b.c = 2; };
  git = g.toGitINI {
    user = { name = "A \"B\" \\ c"; email = "a@b"; };
    url."ssh://git@github.com/".insteadOf = [ "https://github.com" "gh:" ];
    core.editor = "vi\tx";
    a.b.c.d = 1;
    "branch.main".merge = true;
    filter.lfs = { clean = "git-lfs clean -- %f"; required = true; };
  };
  kv = g.toKeyValue { } { a = 1; b = "x"; c = null; d = 1.5; };
  pretty = g.toPretty { } { a = 1; b = [ 1 "x" null true 1.5 ]; c = { }; d = [ ]; e = x: x; f = { a, b ? 1 }: a; s = "multi\nline \${x}\n"; "k k" = 1; };
  single = g.toPretty { multiline = false; } { a = [ 1 2 ]; s = "a\nb"; };
  json = g.toJSON { } { a = [ 1 ]; };
  lua = g.toLua { } { a = 1; b = [ "x" ]; c = g.mkLuaInline "f()"; d = { }; };
  luaFlat = g.toLua { multiline = false; } [ 1 { x = true; } ];
  bindings = g.toLua { asBindings = true; } { a = { b = 1; }; };
}
