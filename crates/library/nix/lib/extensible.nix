# A fixed point that can be extended later: `lib.extend (final: prev: { … })`.
let
  make =
    f:
    let
      self = f self // {
        extend =
          overlay:
          make (
            final:
            let
              prev = f final;
            in
            prev // overlay final prev
          );
      };
    in
    self;
in
make
