# Programs from packages are called by their place in the store, unguarded.
{ nival, ... }@args:
import ./parts/texts.nix args {
  programs.bash.enable = true;
  programs.zsh.enable = true;
  programs.fish.enable = true;
  programs.starship = {
    enable = true;
    package = nival.pkgs.writeShellScriptBin "starship" "";
    settings.format = "$all";
    enableTransience = true;
  };
  programs.zoxide = {
    enable = true;
    package = nival.pkgs.writeShellScriptBin "zoxide" "";
    options = [ "--cmd cd" ];
    enableFishIntegration = false;
  };
  programs.direnv = {
    enable = true;
    package = nival.pkgs.writeShellScriptBin "direnv" "";
    silent = true;
    stdlib = "use_thing() { :; }";
    nix-direnv.enable = true;
    nix-direnv.package = nival.pkgs.writeTextDir "share/nix-direnv/direnvrc" "";
  };
  programs.bat = {
    enable = true;
    package = nival.pkgs.writeShellScriptBin "bat" "";
    config = {
      theme = "mine";
      plain = true;
      wrap = false;
      map-syntax = [
        "*.a:B"
        "*.c:D"
      ];
    };
    themes.mine = "<plist/>";
    syntaxes.odd = {
      src = "/opt/odd";
      file = "odd.sublime-syntax";
    };
  };
}
