let
  base = { system = "x86_64-linux"; builder = "/bin/sh"; };
  mk = a: derivation (base // a);
  src = builtins.toFile "note.txt" "a \"note\"\n";
  fixed = mk { name = "fixed"; outputHash = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="; outputHashMode = "flat"; };
  fixedRec = mk { name = "fixed-rec"; outputHash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
  fixedSha1 = mk { name = "fixed-sha1"; outputHash = "a9993e364706816aba3e25717850c26c9cd0d89d"; outputHashMode = "recursive"; outputHashAlgo = "sha1"; };
  multi = mk { name = "multi"; outputs = [ "out" "dev" "lib" ]; args = [ "-c" "echo \"hi\"\t$dev\r\n\\" ]; inherit src; };
  ca = mk { name = "ca"; __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
  impure = mk { name = "impure"; __impure = true; };
in {
  inherit fixed fixedRec fixedSha1 multi ca impure;
  user = mk { name = "user"; inputs = [ fixed fixedRec fixedSha1 multi.dev multi.lib ]; EMPTY = ""; };
  user2 = mk { name = "user2"; u = mk { name = "user"; inputs = [ fixed multi ]; }; };
  structured = mk { name = "structured"; __structuredAttrs = true; outputs = [ "out" "bin" ]; b = true; n = null; f = 1.5; big = 1.0e22; small = 1.0e-7; i = -3; z = { y = [ 1 "two" { } [ ] ]; a = "\"q\"\n\t\\ é \u0001"; }; dep = multi.lib; };
  deferred = mk { name = "deferred"; dep = ca; };
  dynamic = let maker = mk { name = "maker.drv"; __contentAddressed = true; outputHashMode = "text"; outputHashAlgo = "sha256"; };
    in mk { name = "dynamic"; dep = builtins.outputOf maker.outPath "out"; also = maker; };
  caText = mk { name = "maker.drv"; __contentAddressed = true; outputHashMode = "text"; outputHashAlgo = "sha256"; };
  bytes = mk { name = "bytes"; x = "tab\tcr\rnl\nquote\"back\\dollar\${x}"; };
}
