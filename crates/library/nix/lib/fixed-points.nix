# Fixed points and overlays.
rec {
  fix =
    f:
    let
      x = f x;
    in
    x;

  fix' =
    f:
    let
      x = f x // {
        __unfix__ = f;
      };
    in
    x;

  converge =
    f: x:
    let
      x' = f x;
    in
    if x' == x then x else converge f x';

  extends =
    overlay: f: final:
    let
      prev = f final;
    in
    prev // overlay final prev;

  composeExtensions =
    f: g: final: prev:
    let
      fApplied = f final prev;
    in
    fApplied // g final (prev // fApplied);

  composeManyExtensions =
    overlays: final: prev:
    (builtins.foldl'
      (state: overlay: rec {
        added = state.added // new;
        seen = state.seen // new;
        new = overlay final state.seen;
      })
      {
        added = { };
        seen = prev;
      }
      overlays
    ).added;

  makeExtensible = makeExtensibleWithCustomName "extend";

  makeExtensibleWithCustomName =
    name: f:
    fix' (
      self:
      f self
      // {
        ${name} = overlay: makeExtensibleWithCustomName name (extends overlay f);
      }
    );

  toExtension =
    f:
    if builtins.isFunction f || f ? __functor then
      final: prev:
      let
        once = f final;
        oncePrev = f prev;
      in
      if builtins.isFunction once || (builtins.isAttrs once && once ? __functor) then once prev else oncePrev
    else
      _: _: f;
}
