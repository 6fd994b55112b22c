# Functions, abbreviations, keys, completions, plugins and the parts of `config.fish`.
{ ... }@args:
import ./parts/texts.nix args {
  home.sessionVariables.EDITOR = "vi";
  programs.fish = {
    enable = true;
    preferAbbrs = true;
    shellAliases.ll = "ls -l";
    shellAbbrs = {
      gco = "git checkout";
      "-C" = {
        position = "anywhere";
        expansion = "--color";
      };
      c = {
        command = [
          "git"
          "hg"
        ];
        expansion = "commit -m '%'";
        setCursor = true;
      };
      dots = {
        name = "up";
        regex = "^\\.\\.+$";
        function = "up";
      };
    };
    functions = {
      up = "echo ..";
      greet = {
        body = "echo it\necho is";
        description = "it's a greeting";
        argumentNames = [
          "who"
          "when"
        ];
        onEvent = [ "fish_prompt" ];
        noScopeShadowing = true;
      };
    };
    binds = {
      alt-s = {
        erase = true;
        operate = "preset";
      };
      ctrl-g = {
        command = [
          "commandline -f x"
          "y"
        ];
        mode = "insert";
        repaint = true;
      };
      off.enable = false;
    };
    completions = {
      one = "complete -c one -s h";
      two.body = "complete -c two -s h";
    };
    plugins = [
      {
        name = "z";
        src = "/opt/z";
      }
    ];
    shellInit = "echo all";
    loginShellInit = "echo login";
    interactiveShellInit = "echo interactive";
    shellInitLast = "echo last";
  };
}
