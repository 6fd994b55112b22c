# Tracing.
{ lib }:
let
  inherit (builtins) deepSeq trace;
in
rec {
  inherit (builtins) addErrorContext trace unsafeGetAttrPos;
  traceIf = condition: message: value: if condition then trace message value else value;
  traceValFn = f: x: trace (f x) x;
  traceVal = traceValFn lib.id;
  traceSeq = x: y: trace (deepSeq x x) y;
  traceSeqN =
    depth: x: y:
    let
      cut =
        n: v:
        if builtins.isList v then
          if n == 0 then "[…]" else map (cut (n - 1)) v
        else if builtins.isAttrs v then
          if n == 0 then "{…}" else builtins.mapAttrs (_: cut (n - 1)) v
        else
          v;
    in
    trace (lib.generators.toPretty { } (cut depth x)) y;
  traceValSeqFn = f: v: traceValFn f (deepSeq v v);
  traceValSeq = traceValSeqFn lib.id;
  traceValSeqNFn = f: depth: v: traceSeqN depth (f v) v;
  traceValSeqN = traceValSeqNFn lib.id;

  runTests =
    tests:
    lib.concatLists (
      lib.mapAttrsToList (
        name: test:
        lib.optional (lib.hasPrefix "test" name && test.expr != test.expected) {
          inherit name;
          inherit (test) expected;
          result = test.expr;
        }
      ) tests
    );
  testAllTrue = expr: {
    inherit expr;
    expected = map (_: true) expr;
  };
}
