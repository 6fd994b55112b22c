# Settings as a list keep their order; an old home states the format of signatures.
{ ... }@args:
import ./parts/texts.nix args {
  home.stateVersion = "24.11";
  programs.git = {
    enable = true;
    lfs.enable = true;
    lfs.skipSmudge = true;
    settings = [
      { credential."https://b.example".helper = ""; }
      { credential."https://b.example".helper = "store"; }
      { a.b = 1; }
    ];
  };
}
