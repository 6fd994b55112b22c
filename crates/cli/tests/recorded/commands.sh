# Files for the recorded answers, in the folder that this is run in.
set -eu
umask 022

mkdir -p badflake dir emptydir flake inflake noout unreadable inflake/dep flake/sub
cat > args.nix <<'END'
{ a, b ? 2, ... }@args: { inherit a b; all = builtins.attrNames args; }
END
printf 'text of a file' > data.txt
cat > default.nix <<'END'
{ n ? "default" }: derivation { name = n; system = "s"; builder = "b"; }
END
printf '' > empty.nix
printf 'bad \377\376 "' > invalid.nix
cat > lines.txt <<'END'
a
b
END
cat > many.nix <<'END'
let d = name: outputs: derivation { inherit name outputs; system = "s"; builder = "b"; }; in {
  one = d "one" [ "out" ];
  two = d "two" [ "out" "dev" "man" ];
  list = [ (d "l1" [ "out" ]) (d "l2" [ "bin" "out" ]) ];
  nested.recurseForDerivations = true;
  nested.x = d "nested" [ "out" ];
  notNested.x = d "hidden" [ "out" ];
  fn = { a ? "dflt" }: d a [ "out" ];
  str = "s"; num = 1; nul = null; float = 1.5; path = ./data.txt; fun = x: x;
  err = throw "thrown";
  fail = abort "aborted";
  asrt = assert false; 1;
  sub.deep.deeper = { value = 42; };
  "quoted name" = 1;
  "with.dot" = { x = 1; };
  l = [ 1 "two" [ 3 ] { four = 4; } ];
}
END
printf '"a\000b"' > nul.nix
cat > inflake/flake.nix <<'END'
{ inputs.dep.url = "path:./dep"; outputs = { self, dep }: { v = dep.w; }; }
END
cat > inflake/dep/flake.nix <<'END'
{ outputs = _: { w = 5; }; }
END
cat > noout/flake.nix <<'END'
{ description = "x"; }
END
cat > dir/default.nix <<'END'
{ inDir = 1; }
END
cat > flake/flake.nix <<'END'
{
  description = "A flake to look at";
  outputs = { self }: {
    packages.x86_64-linux = {
      default = derivation { name = "dflt"; system = "x86_64-linux"; builder = "b"; };
      hello = derivation { name = "hello"; system = "x86_64-linux"; builder = "b"; outputs = [ "out" "dev" ]; };
    };
    legacyPackages.x86_64-linux.old = derivation { name = "old"; system = "x86_64-linux"; builder = "b"; };
    legacyPackages.x86_64-linux.nest.ed = 3;
    a.b.c = 1;
    value = 1;
    str = "text";
    fn = x: x + 1;
    lst = [ 1 2 3 ];
    err = throw "flake says no";
    trace = builtins.trace "traced" 2;
    src = "${self}";
    selfs = builtins.attrNames self;
    "dotted.name" = 7;
    lib.f = { x ? 1 }: x;
  };
}
END
cat > flake/sub/flake.nix <<'END'
{ outputs = { self }: { subvalue = 2; up = 1; }; }
END
cat > badflake/flake.nix <<'END'
{ outputs = 1; }
END
ln -s nowhere dangling.nix
ln -s set.nix link.nix
ln -s loop.nix loop.nix
