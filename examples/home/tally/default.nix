{ stdenv }:
stdenv.mkDerivation {
  pname = "tally";
  version = "1.0";
  src = ./src;
  doCheck = true;
  meta = {
    description = "Counts lines, words and bytes below a folder, by kind of file";
    mainProgram = "tally";
  };
}
